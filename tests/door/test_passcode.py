from hypothesis import given
from hypothesis import strategies as st

from webui.door.passcode import ALPHABET, CODE_SECONDS, MAX_CODES, Codes, Passcode, Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_made_passcode_is_forgiving_and_unlike_the_last_one() -> None:
    made = Passcode()
    assert made.made
    assert set(made.text.replace("-", "")) <= set(ALPHABET)
    for typed in (made.text, made.text.upper(), f" {made.text.replace('-', '')} ", made.text.replace("-", " ")):
        assert made.matches(typed)
    assert not made.matches("")
    assert not made.matches(made.text[:-1])
    assert made.text != Passcode().text
    assert made.text not in repr(made)


def test_a_given_passcode_is_exact() -> None:
    given = Passcode("Open-Sesame")
    assert given.matches("Open-Sesame ")
    for typed in ("open-sesame", "OpenSesame", "", "x" * 10_000, "\ud800"):
        assert not given.matches(typed)


def test_letters_with_accents_are_the_same_however_they_are_written() -> None:
    assert Passcode("caf\u00e9 cr\u00e8me").matches("cafe\u0301 cre\u0300me")
    assert Passcode("\ufdfa" * 200).matches("\ufdfa" * 200)  # grows eighteenfold


def test_a_code_opens_once_and_not_for_ever() -> None:
    clock = Clock()
    codes = Codes(clock)
    first, second = codes.new(), codes.new()
    assert codes.use(first)
    assert not codes.use(first)
    clock.now += CODE_SECONDS
    assert not codes.use(second)
    assert not codes.use("never given")


def test_only_so_many_codes_are_outstanding() -> None:
    codes = Codes(Clock())
    given = [codes.new() for _ in range(MAX_CODES + 3)]
    assert [codes.use(code) for code in given] == [False] * 3 + [True] * MAX_CODES


def test_guessing_is_slowed_down_and_forgotten() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.take("10.0.0.1") for _ in range(Throttle.FREE)] == [0.0] * Throttle.FREE
    assert throttle.take("10.0.0.1") == 1.0
    assert throttle.take("10.0.0.2") == 0.0
    clock.now += 1
    assert throttle.take("10.0.0.1") == 0.0
    assert throttle.take("10.0.0.1") == 2.0
    clock.now += Throttle.FORGET + 1
    assert throttle.take("10.0.0.1") == 0.0
    assert throttle.take("10.0.0.1") == 0.0


def test_the_right_passcode_clears_the_account() -> None:
    throttle = Throttle(Clock())
    for _ in range(Throttle.FREE):
        throttle.take("10.0.0.1")
    throttle.forgive("10.0.0.1")
    assert throttle.take("10.0.0.1") == 0.0


def test_many_addresses_together_are_slowed_down_too() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits = [throttle.take(f"10.0.{number}.1") for number in range(Throttle.A_MINUTE + 1)]
    assert waits == [0.0] * Throttle.A_MINUTE + [60.0]
    clock.now += 60
    assert throttle.take("10.1.0.1") == 0.0


def test_one_machines_ipv6_addresses_are_one() -> None:
    throttle = Throttle(Clock())
    for number in range(Throttle.FREE):
        throttle.take(f"2001:db8::{number}")
    assert throttle.take("2001:db8::ffff") > 0
    assert throttle.take("2001:db8:0:1::1") == 0.0


def test_memory_is_bounded() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for number in range(Throttle.ADDRESSES + 50):
        clock.now += 3
        throttle.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(throttle._seen) == Throttle.ADDRESSES


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3)), max_size=80))
def test_nobody_makes_more_attempts_than_the_pauses_allow(story: list[tuple[float, int]]) -> None:
    """Whatever the rhythm: a wait that was asked for is honoured to the second, and never longer than the longest."""
    clock = Clock()
    throttle = Throttle(clock)
    blocked_until: dict[int, float] = {}
    for pause, who in story:
        clock.now += pause
        wait = throttle.take(f"10.0.0.{who}")
        assert 0 <= wait <= Throttle.LONGEST
        if wait == 0:
            assert clock.now >= blocked_until.get(who, 0.0) - 1e-6
        else:
            blocked_until[who] = clock.now + wait
