"""The picture's own code: an AutoencoderKL of 1.6 M parameters, 8 × down, 4 channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from webui.starter.data import Bytes
from webui.starter.gang import Gang
from webui.starter.loop import Budget, Plan, Report, Trainer, generator

SMALL, LARGE = 64, 160  # pixels: many small windows first, large ones to settle on whole pictures
GROWS_AT = 0.4  # of the budget
WINDOW = 160  # pixels, for the last training of the decoder alone
JITTER = 0.02  # of a code's deviation: the decoder forgives errors of that size
COLOUR = 1.8  # how much colour differences count against brightness (1 / sqrt 2 would be even)
KL_WEIGHT = 2e-4  # keeps the code near unit variance and the decoder deaf to small errors


def build_vae(channels: tuple[int, ...] = (16, 32, 64, 96)) -> AutoencoderKL:
    """An untrained autoencoder; the middle needs no attention for pictures this plain."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,  # more groups would take the absolute colour out of the last narrow layers
        sample_size=256,
        mid_block_add_attention=False,
    )


def to_tensor(pictures: Bytes) -> Tensor:
    """n × h × w × 3 bytes to n × 3 × h × w in -1..1."""
    return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def crops(sources: Sequence[Bytes], count: int, side: int, rng: torch.Generator) -> Tensor:
    """Random square windows of random pictures, half of them mirrored: count × 3 × side × side."""
    found = []
    for _ in range(count):
        source = sources[int(torch.randint(len(sources), (1,), generator=rng))]
        which, top, left, flip = torch.rand(4, generator=rng).tolist()
        picture = source[int(which * len(source))]
        y, x = int(top * (picture.shape[0] - side + 1)), int(left * (picture.shape[1] - side + 1))
        window = picture[y : y + side, x : x + side]
        found.append(torch.from_numpy((window[:, ::-1] if flip < 0.5 else window).copy()))
    return torch.stack(found).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def opponent(pictures: Tensor, colour: float) -> Tensor:
    """RGB to brightness and, `colour` times, two colour differences: brightness alone would drown the hues."""
    r, g, b = pictures.unbind(1)
    return torch.stack(((r + g + b) / 1.732, (r - b) * colour, (r - 2 * g + b) * (colour / 1.732)), 1)


def picture_loss(made: Tensor, wanted: Tensor, colour: float = COLOUR) -> Tensor:
    """Absolute error of the pixels and of their differences, so that edges stay sharp, plus squared error for PSNR."""
    error = opponent(made - wanted, colour)
    across = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + 0.5 * (across + down) + 2.0 * error.square().mean()


def train_vae(sources: Sequence[Bytes], budget: Budget, folder: Path, report: Report, batch: int = 16) -> AutoencoderKL:
    """Train (or go on training) the autoencoder; its scaling factor is left to `measure_scale`."""
    torch.manual_seed(20)
    vae = build_vae().to(memory_format=torch.channels_last)
    plan = Plan("vae", budget, rate=1.6e-3, warmup=100, ema=0.995, settle=0.6)
    trainer = Trainer(plan, {"vae": vae}, folder, report)

    def losses(step: int) -> dict[str, Tensor]:
        rng = generator(20, step)
        large = budget.progress(step, trainer.spent) > GROWS_AT
        side, count = (LARGE, max(1, batch // 4)) if large else (SMALL, batch)
        wanted = crops(sources, count, side, rng).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(wanted).latent_dist
            code = posterior.sample(generator=rng)
            made = vae.decode(code).sample
        kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1.0 - posterior.logvar.float()).mean()
        picture = picture_loss(made.float(), wanted)
        return {"loss": picture + KL_WEIGHT * kl, "picture": picture, "kl": kl}

    trainer.run(losses)
    trainer.use_average()
    return vae.eval()


@torch.inference_mode()
def psnr(vae: AutoencoderKL, pictures: Bytes) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures that went through the code and back (mean of the posterior)."""
    values = []
    for picture in pictures:
        wanted = to_tensor(picture[None]).to(vae.dtype)
        made = vae.decode(vae.encode(wanted).latent_dist.mean).sample.float().clamp(-1, 1)
        error = (made - wanted.float()).square().mean() / 4.0  # of a range of 0..1
        values.append(-10.0 * torch.log10(error))
    return float(torch.stack(values).mean())


@dataclass(frozen=True, slots=True)
class Pairs:
    """Finished codes (n × 4 × h/8 × w/8, unscaled) and the pictures that they stand for."""

    codes: Tensor
    pictures: Bytes

    def window(self, rng: torch.Generator) -> tuple[Tensor, Bytes]:
        """A random window of a random pair: 4 × 20 × 20 and 160 × 160 × 3."""
        side = WINDOW // 8
        which, top, left = torch.rand(3, generator=rng).tolist()
        row = int(which * len(self.codes))
        y, x = int(top * (self.codes.shape[2] - side + 1)), int(left * (self.codes.shape[3] - side + 1))
        shown = self.codes[row, :, y : y + side, x : x + side].float()
        return shown, self.pictures[row, y * 8 : (y + side) * 8, x * 8 : (x + side) * 8]


def polish(vae: AutoencoderKL, pairs: Sequence[Pairs], budget: Budget, folder: Path, report: Report, gang: Gang | None = None) -> None:
    """Train the decoder alone: the codes, on which the denoiser was trained, stay as they are."""
    vae.requires_grad_(False)
    modules = {"decoder": vae.decoder.requires_grad_(True), "after": vae.post_quant_conv.requires_grad_(True)}
    plan = Plan("polish", budget, rate=1e-3, warmup=50, ema=0.99, settle=0.2)
    trainer = Trainer(plan, modules, folder, report, gang)
    rank, members = (gang.rank, gang.count) if gang else (0, 1)

    def losses(step: int) -> dict[str, Tensor]:
        rng = generator(26, step * members + rank)
        found = [pairs[int(torch.randint(len(pairs), (1,), generator=rng))].window(rng) for _ in range(4 // members)]
        code = torch.stack([shown for shown, _ in found])
        code = code + JITTER * code.std() * torch.randn(code.shape, generator=rng)
        with torch.autocast("cpu", torch.bfloat16):
            made = vae.decode(code.contiguous(memory_format=torch.channels_last)).sample
        return {"loss": picture_loss(made.float(), to_tensor(np.stack([picture for _, picture in found])), 1.0)}

    trainer.run(losses)
    trainer.use_average()
    vae.eval()
