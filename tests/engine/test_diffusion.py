"""What only the real engine can get wrong: bits, decodes that should not be, memory, and every sampler on a network."""

import errno
import gc
import weakref

import pytest
import torch

from tests.engine.conftest import a_request, never
from tests.engine.test_contract import wait_for
from webui.core.errors import Cancelled, EngineDied, OutOfMemory, Unsupported
from webui.core.events import Produced, Step
from webui.core.records import ModelRecord
from webui.engine import diffusion as module
from webui.engine import loading
from webui.engine.diffusion import DiffusionEngine
from webui.engine.samplers import SAMPLERS, SCHEDULES
from webui.engine.shortage import is_shortage


def pictures(engine, request, **options):
    return [event for event in engine.run(request, cancelled=never, **options) if isinstance(event, Produced)]


@pytest.fixture
def calls(pipeline):
    """How many pictures the network and the autoencoder were given, call by call."""
    counted = {"unet": [], "decode": []}
    hooks = [
        pipeline.unet.register_forward_pre_hook(lambda _, inputs: counted["unet"].append(len(inputs[0]))),
        pipeline.vae.decoder.register_forward_pre_hook(lambda _, inputs: counted["decode"].append(len(inputs[0]))),
    ]
    yield counted
    for hook in hooks:
        hook.remove()


def test_a_cancel_costs_no_decode(diffusion, calls):
    seen = []
    with pytest.raises(Cancelled):
        for event in diffusion.run(a_request(sampling={"steps": 4}), cancelled=lambda: len(seen) >= 2):
            seen.append(event)
    assert len(calls["unet"]) == 2
    assert calls["decode"] == []


def test_a_cancel_during_the_last_step_costs_no_decode(diffusion, calls):
    seen = []
    with pytest.raises(Cancelled):
        for event in diffusion.run(a_request(sampling={"steps": 3}), cancelled=lambda: len(seen) >= 3):
            seen.append(event)
    assert calls["decode"] == []


def test_both_prompts_go_in_one_call_and_one_alone_without_guidance(diffusion, calls):
    pictures(diffusion, a_request())
    assert calls["unet"] == [2, 2]
    calls["unet"].clear()
    pictures(diffusion, a_request(sampling={"guidance": 1}))
    assert calls["unet"] == [1, 1]


def test_batches_make_every_picture_once(diffusion, calls):
    request = a_request(count=5, batch_size=2)
    made = pictures(diffusion, request)
    assert [event.index for event in made] == [0, 1, 2, 3, 4]
    assert [event.seed for event in made] == [7, 8, 9, 10, 11]
    assert calls["unet"] == [4, 4, 4, 4, 2, 2]
    assert calls["decode"] == [1] * 5
    alone = pictures(diffusion, a_request(count=5))
    for ours, theirs in zip(made, alone, strict=True):  # other kernels, so other last bits
        assert max(abs(a - b) for a, b in zip(ours.image.tobytes(), theirs.image.tobytes(), strict=True)) <= 2


@pytest.mark.filterwarnings("ignore::FutureWarning")  # diffusers on the test checkpoint's scheduler
def test_it_makes_what_diffusers_makes(diffusion, home):
    """The same request through diffusers' own pipeline gives the same picture."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

    theirs = StableDiffusionPipeline.from_pretrained(home / "models" / "checkpoints" / "tiny", safety_checker=None, local_files_only=True)
    theirs.scheduler = EulerDiscreteScheduler.from_config(theirs.scheduler.config, timestep_spacing="linspace")
    theirs.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    wanted = theirs("a cat, dog", height=64, width=64, num_inference_steps=6, guidance_scale=5.0, latents=noise, output_type="pil").images[
        0
    ]
    ours = pictures(diffusion, a_request(prompt="a cat, dog", sampling={"schedule": "Uniform", "steps": 6, "guidance": 5}))[0].image
    assert max(abs(a - b) for a, b in zip(ours.tobytes(), wanted.tobytes(), strict=True)) <= 2


def test_both_layouts_make_the_same_picture(diffusion):
    folder, file = (pictures(diffusion, a_request(name))[0].image for name in ("tiny", "single"))
    assert max(abs(a - b) for a, b in zip(folder.tobytes(), file.tobytes(), strict=True)) <= 1


def test_the_request_decides(diffusion):
    base = pictures(diffusion, a_request())[0].image.tobytes()
    changes = [{"prompt": "dog"}, {"negative_prompt": "dog"}, {"prompt": "a (cat:1.6), dog"}]
    changes += [{"sampling": change} for change in ({"seed": 8}, {"steps": 3}, {"guidance": 2}, {"clip_skip": 2}, {"sampler": "Heun"})]
    for change in changes:
        assert pictures(diffusion, a_request(**change))[0].image.tobytes() != base, change


@pytest.mark.parametrize("checkpoint", ["tiny", "tiny-zero"])
@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.id)
def test_every_offered_pair_makes_a_picture(diffusion, row, checkpoint):
    for schedule in SCHEDULES:
        if schedule.id in (row.schedules or [schedule.id]):
            request = a_request(checkpoint, sampling={"sampler": row.id, "schedule": schedule.id, "steps": 2, "guidance": 3})
            made = pictures(diffusion, request)[0]
            low, high = zip(*made.image.getextrema(), strict=True)
            assert max(high) - min(low) > 5, f"{schedule.id}: one flat colour"
            if schedule.id == "Karras":
                assert pictures(diffusion, request)[0].image.tobytes() == made.image.tobytes()


def test_extensions_bring_samplers_and_families(diffusion):
    assert len(pictures(diffusion, a_request("single", sampling={"sampler": "Euler by an extension"}))) == 1


def test_automatic_is_resolved_and_said(diffusion):
    for name, schedule in {"tiny": "Uniform", "tiny-zero": "SGM Uniform"}.items():
        made = pictures(diffusion, a_request(name, sampling={"schedule": "Automatic"}))[0]
        assert made.facts["Schedule"] == schedule
        again = pictures(diffusion, a_request(name, sampling={"schedule": schedule}))[0]
        assert again.image.tobytes() == made.image.tobytes(), "asked for by its name it is the same picture"


def test_no_memory_is_said_with_numbers_and_lets_go(diffusion, pipeline, monkeypatch):
    held = []

    def full(*_, **__):
        big = torch.zeros(10)
        held.append(weakref.ref(big))
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes.")

    monkeypatch.setattr(pipeline.unet, "forward", full)
    with pytest.raises(OutOfMemory, match=r"ran out of memory at 64 × 64 px: .* GB of .* GB are free now\. Choose a smaller size"):
        pictures(diffusion, a_request())
    gc.collect()
    assert held[0]() is None
    monkeypatch.undo()
    assert len(pictures(diffusion, a_request())) == 1


def test_the_real_words_of_no_memory_are_known(diffusion, pipeline, monkeypatch):
    """As torch says it on this machine, and as it was read in torch's sources for others."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    said = [caught.value, RuntimeError("MPS backend out of memory (MPS allocated: 8 GB, other allocations: 1 GB, max allowed: 9 GB).")]
    said += [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), OSError(errno.ENOMEM, "Cannot allocate memory")]
    for error in said:
        assert is_shortage(error)

        def full(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch, pytest.raises(OutOfMemory, match="ran out of memory"):
            patch.setattr(pipeline.unet, "forward", full)
            pictures(diffusion, a_request())
    for other in (RuntimeError("shapes do not fit"), OSError(errno.ENOSPC, "No space left on device"), OSError("memory")):
        assert not is_shortage(other)


def test_no_memory_while_loading_is_not_called_a_broken_file(home):
    file = home / "models" / "checkpoints" / "single.safetensors"
    record = ModelRecord(id="x", label="X", path=file, layout="single_file", family="sd15", bytes=1)
    with pytest.raises(RuntimeError, match="you tried to allocate"), loading._explained(record):
        torch.empty(2**60, dtype=torch.uint8)


def test_a_checkpoint_chosen_meanwhile_waits_where_both_do_not_fit(config, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.01)
    engine = DiffusionEngine(config)
    try:
        pictures(engine, a_request())
        engine._manager.budget = engine._manager.used  # one of them
        seen = []
        for event in engine.run(a_request(sampling={"steps": 4}), cancelled=never):
            if isinstance(event, Step):
                engine._warm("tiny-zero")
                seen.append((engine._manager.loaded, engine.state().message))
        assert {loaded for loaded, _ in seen} == {("tiny",)}
        assert "loaded after the picture" in seen[-1][1]
        wait_for(lambda: engine._manager.loaded == ("tiny-zero",))
        wait_for(lambda: engine.state().message == "")
    finally:
        engine.close()


def test_a_checkpoint_chosen_meanwhile_is_loaded_at_once_where_both_fit(config):
    engine = DiffusionEngine(config)
    try:
        for event in engine.run(a_request(sampling={"steps": 2}), cancelled=never):
            if isinstance(event, Step):
                engine._warm("tiny-zero")
                assert set(engine._manager.loaded) == {"tiny", "tiny-zero"}
    finally:
        engine.close()


def test_other_failures_are_not_called_out_of_memory(diffusion, pipeline, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(pipeline.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        pictures(diffusion, a_request())


def test_closing_ends_a_run(config):
    engine = DiffusionEngine(config)
    with pytest.raises(EngineDied):
        for event in engine.run(a_request(sampling={"steps": 100}), cancelled=never):
            if isinstance(event, Step):
                engine.close()
    assert engine.state().status == "stopped"


def test_unloaded_networks_die(config):
    engine = DiffusionEngine(config)
    pictures(engine, a_request())
    with engine._manager.borrow(engine._spec(engine._library.find("tiny"))) as borrowed:
        watched = [weakref.ref(borrowed), weakref.ref(borrowed.unet), weakref.ref(borrowed.conditioner)]
    del borrowed
    engine.unload()
    gc.collect()
    assert [ref() for ref in watched] == [None, None, None]


def test_a_checkpoint_of_no_kind_says_why(config, home, tmp_path):
    broken = home / "models" / "checkpoints" / "broken.safetensors"
    broken.write_bytes(b"not a weight file at all")
    try:
        engine = DiffusionEngine(config)
        with pytest.raises(Unsupported, match="cannot be used"):
            pictures(engine, a_request("broken"))
        engine._warm("broken")
        assert "cannot be used" in engine.state().message
    finally:
        broken.unlink()
