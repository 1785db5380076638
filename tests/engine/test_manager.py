import gc
import threading
import weakref

import pytest

from webui.core.errors import LoadFailed
from webui.engine.manager import PipelineManager, PipelineSpec


class Weights:
    def __init__(self, size):
        self.size = size
        self.itself = self  # networks hold themselves in cycles


def spec(name, size=10):
    return PipelineSpec(name, "cpu", "fp32", bytes=size)


@pytest.fixture
def loads():
    return []


@pytest.fixture
def manager(loads):
    def load(wanted):
        loads.append(wanted.checkpoint)
        return Weights(wanted.bytes)

    return PipelineManager(load, lambda weights: weights.size, budget=30)


def test_loads_once(manager, loads):
    for _ in range(3):
        with manager.borrow(spec("a")) as weights:
            assert isinstance(weights, Weights)
    assert loads == ["a"]
    assert manager.loaded == ("a",)
    assert manager.used == 10


def test_the_longest_unused_leaves_and_dies(manager, loads):
    alive = {}
    for name in "abc":
        with manager.borrow(spec(name)) as weights:
            alive[name] = weakref.ref(weights)
    del weights
    with manager.borrow(spec("a")):
        pass
    with manager.borrow(spec("d")):
        pass
    gc.collect()
    assert manager.loaded == ("d", "a", "c")
    assert alive["b"]() is None
    assert alive["a"]() is not None
    assert manager.used == 30


def test_it_makes_room_before_it_loads(loads):
    used = []
    manager = PipelineManager(lambda wanted: used.append(manager.used) or Weights(wanted.bytes), lambda weights: weights.size, budget=30)
    for name in "abcd":
        with manager.borrow(spec(name)):
            pass
    assert used == [0, 10, 20, 20]


def test_the_borrowed_stay_whatever_the_budget(manager):
    with manager.borrow(spec("a", 25)) as first, manager.borrow(spec("b", 25)) as second:
        assert manager.used == 50
        assert first.size == second.size
        manager.clear()
        assert set(manager.loaded) == {"a", "b"}
    with manager.borrow(spec("c", 25)):
        assert manager.loaded == ("c",)


def test_larger_than_the_budget_is_still_loaded(manager):
    with manager.borrow(spec("a", 1000)):
        assert manager.used == 1000


def test_one_that_fails_leaves_nothing_behind():
    def load(wanted):
        raise LoadFailed("broken")

    manager = PipelineManager(load, lambda weights: 0, budget=30)
    for _ in range(2):
        with pytest.raises(LoadFailed), manager.borrow(spec("a")):
            raise AssertionError("not reached")
    assert manager.loaded == ()
    assert manager.used == 0


def test_a_changed_file_is_another_pipeline(manager, loads):
    for stamp in ("1", "2", "1"):
        with manager.borrow(PipelineSpec("a", "cpu", "fp32", stamp, 5)):
            pass
    assert len(loads) == 2


def test_two_threads_share_one_load(loads):
    begun, go = threading.Event(), threading.Event()

    def load(wanted):
        loads.append(wanted.checkpoint)
        begun.set()
        assert go.wait(10)
        return Weights(1)

    manager = PipelineManager(load, lambda weights: 1, budget=30)
    got = []

    def borrow():
        with manager.borrow(spec("a")) as weights:
            got.append(weights)

    threads = [threading.Thread(target=borrow) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    assert manager.loaded == ()  # and does not wait for the load
    go.set()
    for thread in threads:
        thread.join(10)
    assert loads == ["a"]
    assert got[0] is got[1]
