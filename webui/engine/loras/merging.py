"""`Loras`: which LoRAs are merged into a pipeline's weights, and what those weights were before, to the bit."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from webui.core.errors import Cancelled, LoadFailed
from webui.engine.loras.files import Layer, LoraFile, Networks, Reading, Target, read
from webui.engine.loras.formats import BIAS, WEIGHT, delta
from webui.engine.loras.names import STABLE_DIFFUSION, Naming, table
from webui.engine.shortage import is_shortage

_log = logging.getLogger(__name__)
Key = tuple[LoraFile, ...]


class _Share(NamedTuple):
    """What one file adds to one target."""

    file: LoraFile
    layer: Layer
    strength: float


class Loras:
    """Keeps one set merged until another is asked for. Not thread-safe: whoever runs the pipeline has it alone.

    A weight with LoRAs is W + Σ strength · Δ(W), summed in fp32 from the checkpoint's own W and rounded once, so neither
    the order of the LoRAs nor what was merged before matters. The originals of touched weights are kept in main memory
    as long as they are merged: as many bytes as those weights take.
    """

    def __init__(self, components: Mapping[str, nn.Module], label: str, namings: Sequence[Naming] = STABLE_DIFFUSION) -> None:
        """`components` by the pipeline's attribute; `label` is what the person calls the checkpoint."""
        self._components = {naming.component: components[naming.component] for naming in namings}
        self._namings = {naming.component: naming for naming in namings}
        self._label = label
        self._networks: Networks | None = None
        self._originals: dict[Target, Tensor] = {}
        self._merged: Key | None = ()  # None: in the middle of a change
        self.notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of the originals that are kept."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._originals.values())

    def holds(self, files: Sequence[LoraFile]) -> bool:
        """Whether exactly these are merged."""
        return self._merged == _key(files)

    def state(self, component: str) -> Key:
        """What is merged into one component: two equal states are the same weights."""
        return tuple(file for file in self._merged or () if self._strength(file, component) != 0)

    @contextlib.contextmanager
    def applied(self, files: Sequence[LoraFile], cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Inside, the weights have exactly these LoRAs. They stay until another set is asked for, `()` for none.

        Raises `Unsupported` for one that does not fit, before anything is touched; `LoadFailed` for a broken file and
        `Cancelled` when `cancelled` says so between two weights, after everything is as in the checkpoint.
        """
        key = _key(files)
        if key != self._merged:
            self._change(key, cancelled)
        yield

    def restore(self) -> None:
        """Every weight as in the checkpoint."""
        self._merged = None
        for target in list(self._originals):
            self._take_back(target)
        self._merged, self.notes = (), ()

    def _change(self, key: Key, cancelled: Callable[[], bool]) -> None:
        readings = {file: read(file, self.networks(), self._label) for file in key}
        shares = self._shares(key, readings)
        self._merged = None
        try:
            for target in [target for target in self._originals if target not in shares]:
                self._take_back(target)
            with contextlib.ExitStack() as stack:
                handles = {file: stack.enter_context(_opened(file)) for file in key}
                for target, wanted in shares.items():
                    if cancelled():
                        raise Cancelled
                    self._merge(target, wanted, handles)
        except BaseException:
            self.restore()
            raise
        self._merged, self.notes = key, tuple(note for reading in readings.values() for note in reading.notes)
        _log.info("%d LoRAs in %s, %d weights, %.1f MB of originals kept", len(key), self._label, len(shares), self.bytes / 1e6)

    def _shares(self, key: Key, readings: Mapping[LoraFile, Reading]) -> dict[Target, list[_Share]]:
        shares: dict[Target, list[_Share]] = {}
        for file in key:
            for layer in readings[file].layers:
                strength = self._strength(file, layer.target.component)
                if strength != 0:
                    shares.setdefault(layer.target, []).append(_Share(file, layer, strength))
        return shares

    def _strength(self, file: LoraFile, component: str) -> float:
        return float(getattr(file, self._namings[component].weight))

    @torch.no_grad()
    def _merge(self, target: Target, wanted: list[_Share], handles: Mapping[LoraFile, Any]) -> None:
        parameter = self._parameter(target)
        original = self._originals.get(target)
        if original is None:
            original = self._originals[target] = parameter.detach().to("cpu", copy=True)  # keeps strides
        weight = original.to(parameter.device, torch.float32)
        total = torch.zeros_like(weight)
        for share in wanted:
            total += self._delta(share, weight, handles[share.file]) * share.strength
        parameter.copy_(weight + total)

    def _delta(self, share: _Share, weight: Tensor, handle: Any) -> Tensor:
        layer = share.layer
        try:
            parts = {role: handle.get_tensor(key).to(weight.device, torch.float32) for role, key in layer.keys.items()}
            if layer.alpha is not None:
                parts["alpha"] = torch.tensor(layer.alpha)
            return delta(layer.kind, parts, weight, share.file.rank)
        except (RuntimeError, ValueError, SafetensorError) as error:
            if is_shortage(error):
                raise
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise LoadFailed(
                f"The LoRA “{share.file.name}” could not be merged into {layer.target.module}: {reason[:200]} Copy or download it again."
            ) from error

    @torch.no_grad()
    def _take_back(self, target: Target) -> None:
        self._parameter(target).copy_(self._originals[target])
        del self._originals[target]

    def _parameter(self, target: Target) -> nn.Parameter:
        return self._components[target.component].get_submodule(target.module).get_parameter(target.parameter)

    def networks(self) -> Networks:
        """The names and shapes of everything that can be merged into."""
        if self._networks is None:
            names: dict[str, Mapping[str, str]] = {}
            shapes: dict[Target, tuple[int, ...]] = {}
            for component, network in self._components.items():
                modules = {name: module for name, module in network.named_modules() if _has(module, WEIGHT)}
                names[component] = table(modules, self._namings[component])
                for name, module in modules.items():
                    for parameter in (WEIGHT, BIAS):
                        if _has(module, parameter):
                            shapes[Target(component, name, parameter)] = tuple(module.get_parameter(parameter).shape)
            self._networks = Networks(names, shapes)
        return self._networks


def _has(module: nn.Module, parameter: str) -> bool:
    return isinstance(getattr(module, parameter, None), nn.Parameter)


def _key(files: Sequence[LoraFile]) -> Key:
    """The same for the same set in any order; without those that do nothing."""
    return tuple(sorted((file for file in files if file.unet or file.text_encoder), key=str))


def _opened(file: LoraFile) -> Any:
    try:
        return safe_open(file.path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise LoadFailed(f"The LoRA “{file.name}” cannot be read: {str(error)[:200]}. Copy or download it again.") from error
