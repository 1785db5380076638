"""A training loop that can be killed at any moment and goes on where it was."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from webui.starter.gang import Gang

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: a number of steps, or minutes of training time, whichever is given."""

    steps: int | None = None
    minutes: float | None = None

    def progress(self, step: int, spent: float) -> float:
        """0..1 after `step` steps and `spent` seconds."""
        if self.steps is not None:
            return min(1.0, step / max(1, self.steps))
        if self.minutes is None:
            raise ValueError("a training budget needs steps or minutes")
        return min(1.0, spent / max(1e-6, self.minutes * 60))


@dataclass(frozen=True, slots=True)
class Plan:
    """One stage of training."""

    name: str
    budget: Budget
    rate: float  # peak learning rate
    warmup: int = 200  # steps
    ema: float = 0.0  # 0: no average of the weights
    save_every: float = 180.0  # seconds
    log_every: int = 50  # steps
    floor: float = 0.0  # the last learning rate, as a part of the peak
    settle: float = 0.0  # the rate stays at its peak until this part of the budget is spent
    pace: Mapping[str, float] = field(default_factory=dict)  # a module's own part of the rate, by name


def rate_at(plan: Plan, step: int, progress: float) -> float:
    """Linear warm-up, a plateau up to `settle`, then a half cosine to `floor`."""
    warm = min(1.0, (step + 1) / max(1, plan.warmup))
    late = max(0.0, (progress - plan.settle) / max(1e-6, 1.0 - plan.settle))
    fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, late)))
    return plan.rate * warm * (plan.floor + (1.0 - plan.floor) * fall)


def generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step: they depend on nothing before it, so a resumed run repeats them."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % (1 << 62))


class Trainer:
    """Trains `modules` under a plan and keeps weights, optimiser and average in one file."""

    def __init__(self, plan: Plan, modules: Mapping[str, nn.Module], folder: Path, report: Report, gang: Gang | None = None) -> None:
        self.plan, self.modules, self.report, self.gang = plan, dict(modules), report, gang
        self.path = folder / f"{plan.name}.pt"
        folder.mkdir(parents=True, exist_ok=True)
        self.parameters = [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self._groups(), lr=plan.rate, betas=(0.9, 0.98), eps=1e-8, fused=True)
        self.average = [p.detach().clone() for p in self.parameters] if plan.ema else []
        self.step, self.spent = 0, 0.0
        self._load()

    def _groups(self) -> list[dict[str, object]]:
        """Two groups a module: matrices decay, vectors do not."""
        groups: list[dict[str, object]] = []
        for name, module in self.modules.items():
            own = [p for p in module.parameters() if p.requires_grad]
            pace = self.plan.pace.get(name, 1.0)
            groups.append({"params": [p for p in own if p.ndim > 1], "weight_decay": 0.01, "pace": pace})
            groups.append({"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0, "pace": pace})
        return groups

    def run(
        self,
        loss_of: Callable[[int], Mapping[str, Tensor]],
        stop_at: int | None = None,
        on_save: Callable[[], None] | None = None,
    ) -> None:
        """Train until the budget is spent; `loss_of(step)` gives named losses, of which `loss` is stepped on."""
        saved, sums, count, first = time.monotonic(), dict[str, float](), 0, self.step
        while (progress := self.plan.budget.progress(self.step, self.spent)) < 1.0 and self.step != stop_at:
            began = time.monotonic()
            losses = loss_of(self.step)
            self._backward(losses["loss"])
            self._update(progress)
            self.step += 1
            self.spent += time.monotonic() - began
            count += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if count == self.plan.log_every:
                told = " ".join(f"{name} {value / count:.4f}" for name, value in sums.items())
                self.report(f"{self.plan.name} step {self.step} ({self.spent / 60:.1f} min, {progress:.0%}): {told}")
                sums, count = {}, 0
            if time.monotonic() - saved > self.plan.save_every:
                self.save()
                if on_save is not None and (self.gang is None or self.gang.rank == 0):
                    on_save()
                saved = time.monotonic()
        if self.step > first:
            self.save()

    def _backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if self.gang is not None:
            self.spent = self.gang.share(self.parameters, self.spent)

    def _update(self, progress: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.plan, self.step, progress) * group["pace"]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average:
            keep = min(self.plan.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1.0 - keep)

    def use_average(self) -> None:
        """Put the averaged weights into the trained modules themselves."""
        self.average_into(self.modules)

    def average_into(self, modules: Mapping[str, nn.Module]) -> None:
        """Put the averaged weights into `modules`, which are built like the trained ones."""
        targets = [p for name in self.modules for p in modules[name].parameters() if p.requires_grad]
        if self.average:
            with torch.no_grad():
                for target, value in zip(targets, self.average, strict=True):
                    target.copy_(value)

    def save(self) -> None:
        """Write everything that a resumed run needs; the old file stands until the new one is whole."""
        if self.gang is not None and self.gang.rank > 0:
            return
        state = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "step": self.step,
            "spent": self.spent,
        }
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)
        note = {"step": self.step, "minutes": round(self.spent / 60, 2)}
        self.path.with_suffix(".json").write_text(json.dumps(note))

    def _load(self) -> None:
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = list(state["average"])
        self.step, self.spent = int(state["step"]), float(state["spent"])
        self.report(f"{self.plan.name} goes on at step {self.step} ({self.spent / 60:.1f} min)")
