from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from webui.starter.loop import Budget, Plan, Trainer, generator, rate_at
from webui.starter.networks import build_scheduler, build_unet
from webui.starter.vae import build_vae, picture_loss, psnr

Losses = dict[str, Tensor]


def quiet(_line: str) -> None:
    return None


def train_small(folder: Path, steps: int, stop_at: int | None = None) -> nn.Module:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
    trainer = Trainer(Plan("small", Budget(steps=steps), rate=1e-2, warmup=2, ema=0.9), {"m": module}, folder, quiet)

    def losses(step: int) -> Losses:
        shown = torch.randn(16, 4, generator=generator(3, step))
        return {"loss": (module(shown) - shown.sum(1, keepdim=True)).square().mean()}

    trainer.run(losses, stop_at)
    trainer.use_average()
    return module


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = train_small(tmp_path / "whole", 12)
    train_small(tmp_path / "halves", 12, stop_at=5)
    halves = train_small(tmp_path / "halves", 12)
    for first, second in zip(whole.parameters(), halves.parameters(), strict=True):
        assert torch.equal(first, second)


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    first, second = train_small(tmp_path, 6), train_small(tmp_path, 6)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(("step", "spent", "wanted"), [(0, 0.0, 0.0), (5, 0.0, 0.5), (20, 9.0, 1.0)])
def test_a_budget_of_steps(step: int, spent: float, wanted: float) -> None:
    assert Budget(steps=10).progress(step, spent) == wanted


def test_a_budget_of_minutes_counts_seconds() -> None:
    assert Budget(minutes=2).progress(999, 60.0) == pytest.approx(0.5)


def test_a_budget_must_be_one_of_both() -> None:
    with pytest.raises(ValueError, match="steps or minutes"):
        Budget().progress(1, 1.0)


def test_the_rate_warms_up_stays_and_falls_to_nothing() -> None:
    plan = Plan("x", Budget(steps=100), rate=1.0, warmup=10, settle=0.5)
    assert rate_at(plan, 0, 0.0) == pytest.approx(0.1)
    assert rate_at(plan, 40, 0.4) == pytest.approx(1.0)
    assert rate_at(plan, 75, 0.75) == pytest.approx(0.5)
    assert rate_at(plan, 100, 1.0) == pytest.approx(0.0)


def test_the_last_step_of_the_schedule_holds_no_signal() -> None:
    scheduler = build_scheduler()
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(0.0, abs=1e-6)
    scheduler.set_timesteps(20)
    assert int(scheduler.timesteps[0]) == 999
    assert scheduler.config["prediction_type"] == "v_prediction"


def test_the_denoiser_takes_every_size() -> None:
    unet = build_unet((32, 64), width=32).eval()
    for height, width in ((8, 8), (8, 12), (12, 8)):
        with torch.inference_mode():
            made = unet(torch.zeros(1, 4, height, width), torch.tensor(999), torch.zeros(1, 77, 32)).sample
        assert made.shape == (1, 4, height, width)


def test_an_error_of_colour_costs_more_than_one_of_brightness() -> None:
    grey = torch.zeros(1, 3, 8, 8)
    brighter = grey + 0.1
    redder = grey + torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    assert float(picture_loss(grey, grey)) == 0.0
    assert float(picture_loss(redder, grey)) > float(picture_loss(brighter, grey))


def test_psnr_of_a_picture_that_is_lost_is_low() -> None:
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert 0 < psnr(build_vae().eval(), noise) < 15
