"""Sizes: allowed, close to what was asked, never distorted beyond the grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core.geometry import MAX_SIDE, MIN_SIDE, Size, size_for_aspect, snap


@pytest.mark.parametrize(
    ("native", "across", "down", "expected"),
    [
        (Size(512, 512), 1, 1, Size(512, 512)),
        (Size(512, 512), 3, 2, Size(624, 416)),
        (Size(512, 512), 2, 3, Size(416, 624)),
        (Size(512, 512), 16, 9, Size(680, 384)),
        (Size(256, 256), 3, 2, Size(312, 208)),
    ],
)
def test_size_for_aspect(native: Size, across: float, down: float, expected: Size) -> None:
    assert size_for_aspect(native, across, down) == expected


@given(st.floats(-1e6, 1e6))
def test_snap_is_always_allowed(side: float) -> None:
    got = snap(side)
    assert MIN_SIDE <= got <= MAX_SIDE
    assert got % 8 == 0
    if MIN_SIDE <= side <= MAX_SIDE:
        assert abs(got - side) <= 4
