"""Names are found by id or alias without regard to case; a miss says what is near."""

import pytest

from webui.core.errors import SetupError, UnknownName
from webui.core.parts import SamplerInfo
from webui.core.registry import Registry


def row(name: str, *aliases: str) -> SamplerInfo:
    return SamplerInfo(id=name, aliases=aliases, implementation="X")


def test_found_by_id_and_alias() -> None:
    registry = Registry("sampler", [row("Euler a", "k_euler_a"), row("Euler")])
    assert registry.find("euler A").id == "Euler a"
    assert registry.find("K_EULER_A").id == "Euler a"
    assert registry.ids == ("Euler a", "Euler")
    assert "euler" in registry
    assert "heun" not in registry


def test_a_miss_names_the_nearest() -> None:
    registry = Registry("sampler", [row("DPM++ 2M"), row("Euler")])
    with pytest.raises(UnknownName, match="Did you mean “Euler”") as caught:
        registry.find("Eulr", field="sampling.sampler")
    assert caught.value.field == "sampling.sampler"
    with pytest.raises(UnknownName, match="Known: DPM"):
        registry.find("zzzzzzzz")
    with pytest.raises(UnknownName, match="no sampler yet"):
        Registry("sampler", ()).find("x")


@pytest.mark.parametrize("rows", [[row("A"), row("a")], [row("A", "x"), row("B", "X")], [row("A"), row("B", "a")], [row("A"), row("A")]])
def test_a_name_taken_twice_is_refused(rows: list[SamplerInfo]) -> None:
    with pytest.raises(SetupError, match="Two samplers"):
        Registry("sampler", rows)
