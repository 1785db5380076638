"""The whole way from nothing to the starter checkpoint, in stages that each go on where they stopped."""

import copy
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from webui.starter.card import card_text
from webui.starter.checkpoint import Parts, latent_rgb, write_checkpoint
from webui.starter.data import HELD_OUT, Bytes, Size, pictures, seeds_of
from webui.starter.denoise import Batches, load_codes, scaling_of, train_unet, train_words, unet_plan
from webui.starter.gang import Gang, run_gang
from webui.starter.judge import Judge, train_judge
from webui.starter.loop import Budget, Report, Trainer
from webui.starter.networks import build_scheduler, build_text_encoder, build_unet
from webui.starter.scenes import SIZES, draw, sample
from webui.starter.tokens import load_tokenizer, write_tokenizer
from webui.starter.vae import Pairs, polish, train_vae

WORK: Final = Path(".training")
OUT: Final = Path("models/checkpoints/starter-landscapes")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of everything; the defaults are those of the checkpoint in the repository."""

    vae: Budget = field(default_factory=lambda: Budget(minutes=15))
    words: Budget = field(default_factory=lambda: Budget(steps=140))
    unet: Budget = field(default_factory=lambda: Budget(minutes=92))
    polish: Budget = field(default_factory=lambda: Budget(minutes=4))
    judge: Budget = field(default_factory=lambda: Budget(steps=700))
    scenes: tuple[int, ...] = (10_000, 1000, 1000)  # of each size
    batch: int = 16
    members: int = 2  # processes that train the UNet together


def scenes_of(counts: tuple[int, ...], work: Path, report: Report) -> list[tuple[Size, Bytes]]:
    """The drawn scenes of every size."""
    return [(size, pictures(work, size, count, report)) for size, count in zip(SIZES, counts, strict=True)]


def train(recipe: Recipe, work: Path, out: Path, report: Report) -> None:
    """Train whatever is not yet trained and write the checkpoint folder."""
    vae = train_vae([drawn for _, drawn in scenes_of(recipe.scenes, work, report)], recipe.vae, work, report)
    batches = prepare(recipe, vae, work, report)
    encoder, unet = build_networks(batches.tokenizer)
    values = sum(p.numel() for module in (encoder, unet) for p in module.parameters())
    del batches, encoder, unet, vae
    run_gang(recipe.members, values, train_member, (recipe, work, out, report))
    report(f"written to {out}")


def train_member(recipe: Recipe, work: Path, out: Path, report: Report, gang: Gang) -> None:
    """One process of UNet training; everything before it is read from disk."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // gang.count))
    told: Report = report if gang.rank == 0 else _silent
    vae = train_vae([], recipe.vae, work, told)
    batches = replace(prepare(recipe, vae, work, told), rank=gang.rank, members=gang.count)
    encoder, unet = build_networks(batches.tokenizer)
    train_words(encoder, batches, recipe.words, work, told, gang)
    encoder.requires_grad_(False)
    trainer = Trainer(unet_plan(recipe.unet), {"encoder": encoder, "unet": unet}, work, told, gang)
    shown = np.stack([np.asarray(draw(sample(HELD_OUT + 500 + i))) for i in range(40 if gang.rank == 0 else 1)])
    preview = latent_rgb(vae, shown)

    def save() -> None:
        export(trainer, vae, preview, work, out)

    train_unet((encoder, unet), batches, build_scheduler(), trainer, save)
    if gang.rank == 0:
        save()
    drawn = dict(scenes_of(recipe.scenes, work, told))
    polish(vae, [Pairs(pool.codes, drawn[pool.size]) for pool in batches.pools], recipe.polish, work, told, gang)
    if gang.rank == 0:
        save()


def _silent(_line: str) -> None:
    """What the other members say: nothing."""


def prepare(recipe: Recipe, vae: AutoencoderKL, work: Path, report: Report) -> Batches:
    """Codes, tokenizer and scale; sets the scaling factor of `vae`."""
    pools = [load_codes(vae, size, drawn, work, report) for size, drawn in scenes_of(recipe.scenes, work, report)]
    scale = scaling_of(pools[0].codes)
    vae.register_to_config(scaling_factor=round(scale, 5))
    report(f"scaling factor {scale:.5f}")
    if not (work / "tokenizer").exists():
        write_tokenizer(work / "tokenizer")
    return Batches(pools, load_tokenizer(work / "tokenizer"), round(scale, 5), recipe.batch)


def build_networks(tokenizer: CLIPTokenizer) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """Text encoder and UNet, untrained."""
    torch.manual_seed(24)
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    return build_text_encoder(len(tokenizer), int(start), int(end)), build_unet()


def export(trainer: Trainer, vae: AutoencoderKL, preview: dict[str, list[Any]], work: Path, out: Path) -> None:
    """Write the averaged weights as a checkpoint; training may go on afterwards."""
    networks = {name: copy.deepcopy(module) for name, module in trainer.modules.items()}
    trainer.average_into(networks)
    encoder, unet = networks["encoder"], networks["unet"]
    if not (isinstance(encoder, CLIPTextModel) and isinstance(unet, UNet2DConditionModel)):
        raise TypeError("the trainer of the UNet holds other networks than it should")
    tokenizer = load_tokenizer(work / "tokenizer")
    parts = Parts(unet, copy.deepcopy(vae), encoder, tokenizer, build_scheduler())
    write_checkpoint(parts, work / "tokenizer", preview, out, card_text())


def judge_for(recipe: Recipe, work: Path, report: Report) -> Judge:
    """The trained judge, from disk where there is one."""
    drawn = scenes_of(recipe.scenes, work, report)[0][1]
    return train_judge([(drawn, seeds_of(SIZES[0], len(drawn)))], recipe.judge, work, report)
