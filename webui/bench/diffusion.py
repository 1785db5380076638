"""Our engine against the bare diffusers pipeline: the same checkpoint, prompt, size and steps, in turns, in one process."""

import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers import StableDiffusionPipeline

from webui.bench import checkpoints
from webui.bench.report import Figure, interleaved, ratio
from webui.core.events import Step
from webui.core.request import GenerationRequest, Sampling
from webui.engine.config import EngineConfig
from webui.engine.diffusion import DiffusionEngine
from webui.settings import EMBEDDED

PROMPT = "a majestic mountain landscape at sunset with golden clouds"
STARTER = EMBEDDED


def _bare(folder: Path, engine: DiffusionEngine) -> StableDiffusionPipeline:
    """diffusers at its best on this device: the engine's precision, and channels_last."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, dtype=engine.device.dtype, safety_checker=None, feature_extractor=None, local_files_only=True
    ).to(engine.device.name)
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _ours(engine: DiffusionEngine, request: GenerationRequest) -> Callable[[], object]:
    return lambda: list(engine.run(request, cancelled=lambda: False))


def _theirs(pipeline: StableDiffusionPipeline, request: GenerationRequest) -> Callable[[], object]:
    sampling = request.sampling

    def run() -> object:
        return pipeline(
            request.prompt,
            negative_prompt=request.negative_prompt,
            width=request.width,
            height=request.height,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            generator=torch.Generator().manual_seed(sampling.seed),
        )

    return run


def _compare(models: Path, folder: Path, request: GenerationRequest, rounds: int) -> tuple[list[float], list[float]]:
    engine = DiffusionEngine(EngineConfig(models_dir=models))
    actions = [_ours(engine, request), _theirs(_bare(folder, engine), request)]
    for warm in actions:
        warm()
    ours, theirs = interleaved(actions, rounds)
    engine.close()
    return ours, theirs


def starter(folder: Path = STARTER, side: int = 256, rounds: int = 7) -> list[Figure]:
    """20 steps on the embedded checkpoint, guidance on, DPM++ 2M on both sides; `side` in px."""
    sampling = Sampling(sampler="DPM++ 2M", schedule="SGM Uniform", steps=20, guidance=4.0, seed=1)
    request = GenerationRequest(checkpoint=folder.name, prompt=PROMPT, width=side, height=side, sampling=sampling)
    ours, theirs = _compare(folder.parent.parent, folder, request, rounds)
    return [
        Figure(f"starter, 20 steps at {side}²", statistics.median(ours), "s", limit=1.5, detail="with previews and decode, warm"),
        Figure("starter, bare diffusers", statistics.median(theirs), "s"),
        Figure("starter, ours / diffusers", ratio(ours, theirs), "×", limit=1.10, detail=f"median of {rounds} neighbouring pairs"),
    ]


def sd15(tokenizer: Path = STARTER / "tokenizer", sizes: checkpoints.Sizes = checkpoints.SD15, side: int = 512) -> list[Figure]:
    """4 steps on random weights of SD 1.5's size, and one step alone; `side` in px."""
    rounds = 3
    with TemporaryDirectory() as folder:
        built = checkpoints.build(Path(folder), tokenizer, sizes)
        sampling = Sampling(sampler="DPM++ 2M", schedule="Karras", steps=4, guidance=7.0, seed=1)
        request = GenerationRequest(checkpoint=checkpoints.NAME, prompt=PROMPT, width=side, height=side, sampling=sampling)
        ours, theirs = _compare(Path(folder), built, request, rounds)
        step = _step(Path(folder), request)
    return [
        Figure(f"SD 1.5 size, a step at {side}²", step, "s", detail="guidance on, with its preview"),
        Figure("SD 1.5 size, 4 steps and decode", statistics.median(ours), "s"),
        Figure("SD 1.5 size, bare diffusers", statistics.median(theirs), "s", detail="same precision, channels_last"),
        Figure("SD 1.5 size, ours / diffusers", ratio(ours, theirs), "×", limit=0.85, detail=f"median of {rounds} neighbouring pairs"),
    ]


def _step(models: Path, request: GenerationRequest) -> float:
    """Median seconds between steps."""
    engine = DiffusionEngine(EngineConfig(models_dir=models))
    moments = [time.perf_counter() for event in engine.run(request, cancelled=lambda: False) if isinstance(event, Step)]
    engine.close()
    return statistics.median(after - before for before, after in zip(moments, moments[1:], strict=False))
