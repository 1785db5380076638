"""Everyone hears, in order, and one that fails is named and left out."""

import logging
import threading

import pytest

from webui.core.events import BusEvent, QueueChanged
from webui.jobs import bus as module
from webui.jobs.bus import Bus


def event(message: str) -> QueueChanged:
    return QueueChanged(False, message)


def test_everyone_hears_in_order_until_they_stop() -> None:
    bus, first, second = Bus(), [], []
    stop = bus.listen(first.append)
    bus.listen(second.append)
    events = [event(str(number)) for number in range(5)]
    for each in events[:3]:
        bus.publish(each)
    stop()
    stop()
    for each in events[3:]:
        bus.publish(each)
    assert first == events[:3]
    assert second == events


def test_the_same_callback_twice_is_told_twice() -> None:
    bus, heard = Bus(), []
    stop = bus.listen(heard.append)
    bus.listen(heard.append)
    bus.publish(event("x"))
    assert len(heard) == 2
    stop()
    bus.publish(event("y"))
    assert len(heard) == 3


def test_it_keeps_nothing() -> None:
    bus, heard = Bus(), []
    bus.publish(event("before"))
    bus.listen(heard.append)
    assert heard == []


@pytest.mark.parametrize("apart", [False, True])
def test_one_that_raises_is_named_and_dropped_and_the_others_hear(apart: bool, caplog: pytest.LogCaptureFixture) -> None:
    bus, heard, called = Bus(), [], []

    def broken_listener(each: BusEvent) -> None:
        called.append(each)
        raise ValueError("no")

    (bus.listen_apart if apart else bus.listen)(broken_listener)
    bus.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(event("1"))
        for thread in threading.enumerate():
            if "broken_listener" in thread.name:
                thread.join(5)
        bus.publish(event("2"))
    assert [each.message for each in heard] == ["1", "2"]
    assert len(called) == 1
    assert "broken_listener failed on QueueChanged" in caplog.text


def test_a_listener_may_listen_and_stop_while_it_is_called() -> None:
    bus, heard = Bus(), []

    def once(each: BusEvent) -> None:
        stop()
        bus.listen(heard.append)

    stop = bus.listen(once)
    bus.publish(event("1"))
    bus.publish(event("2"))
    assert [each.message for each in heard] == ["2"]


def test_each_publishers_events_arrive_in_order() -> None:
    bus, heard = Bus(), []
    bus.listen(heard.append)

    def publish(name: str) -> None:
        for number in range(300):
            bus.publish(event(f"{name}{number:03d}"))

    threads = [threading.Thread(target=publish, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in "abc":
        own = [each.message for each in heard if each.message.startswith(name)]
        assert own == sorted(own)
        assert len(own) == 300


def test_a_slow_listener_apart_delays_nobody_and_is_kept_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEHIND", 10)
    bus, heard, go = Bus(), [], threading.Event()

    def slow(each: BusEvent) -> None:
        assert go.wait(10)
        heard.append(each)

    stop = bus.listen_apart(slow)
    for number in range(100):
        bus.publish(event(str(number)))
    go.set()
    stop()
    for thread in threading.enumerate():
        if "slow" in thread.name:
            thread.join(5)
    assert [each.message for each in heard][:10] == [str(number) for number in range(10)]
    assert len(heard) <= 11
