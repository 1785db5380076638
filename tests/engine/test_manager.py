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


def test_ahead_is_loaded_only_beside_what_is_borrowed(manager, loads):
    with manager.borrow(spec("a", 20)):
        assert not manager.bring(spec("b", 20))
        assert manager.bring(spec("c", 10))
        assert not manager.bring(spec("huge", 1000))
        assert loads == ["a", "c"]
        assert manager.used == 30
    assert manager.bring(spec("b", 20)), "nothing is borrowed: the longest unused make room"
    assert manager.loaded == ("b", "c")
    assert manager.bring(spec("huge", 1000))
    assert manager.loaded == ("huge",)


def test_ahead_is_the_last_to_leave(manager, loads):
    for name in "abc":
        with manager.borrow(spec(name)):
            pass
    assert manager.bring(spec("a"))
    assert loads == ["a", "b", "c"]
    assert manager.loaded[0] == "a"


class Slow:
    """Loads "slow" until it may go on, and all else at once."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()
        self.most = 0
        self.manager = PipelineManager(self.load, lambda weights: weights.size, budget=30)

    def load(self, wanted):
        if wanted.checkpoint == "slow":
            self.begun.set()
            assert self.go.wait(10)
        return Weights(wanted.bytes)

    def borrow(self, wanted):
        with self.manager.borrow(wanted):
            self.most = max(self.most, self.manager.used)


def run(work, *arguments):
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def test_a_load_holds_up_no_other_pipeline():
    rig = Slow()
    with rig.manager.borrow(spec("here")):
        pass
    loading = run(rig.manager.bring, spec("slow"))
    assert rig.begun.wait(10)
    for name in ("here", "another"):  # one that is there, and one that fits beside it
        quick = run(rig.borrow, spec(name))
        quick.join(10)
        assert not quick.is_alive()
    rig.manager.clear()
    rig.go.set()
    loading.join(10)
    assert rig.manager.loaded == ("slow",)


def test_what_does_not_fit_beside_a_load_waits_for_it():
    rig = Slow()
    loading = run(rig.manager.bring, spec("slow", 20))
    assert rig.begun.wait(10)
    assert not rig.manager.bring(spec("b", 20))
    waiting = run(rig.borrow, spec("b", 20))
    waiting.join(0.1)
    assert waiting.is_alive()
    rig.go.set()
    waiting.join(10)
    loading.join(10)
    assert rig.manager.loaded == ("b",)
    assert rig.most == 20, "never both at once"


def test_whoever_waits_for_a_load_that_fails_loads_itself():
    begun, go = threading.Event(), threading.Event()
    tries = []

    def load(wanted):
        tries.append(wanted.checkpoint)
        if len(tries) == 1:
            begun.set()
            assert go.wait(10)
            raise LoadFailed("broken")
        return Weights(1)

    manager = PipelineManager(load, lambda weights: weights.size, budget=30)
    failed = []

    def bring():
        try:
            manager.bring(spec("a"))
        except LoadFailed as error:
            failed.append(str(error))

    first = run(bring)
    assert begun.wait(10)
    got = []

    def borrow():
        with manager.borrow(spec("a")) as weights:
            got.append(weights)

    second = run(borrow)
    go.set()
    first.join(10)
    second.join(10)
    assert failed == ["broken"]
    assert len(got) == 1


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
