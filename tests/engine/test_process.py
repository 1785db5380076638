"""The engine's process: killed, cancelled, closed, orphaned; and what it may send."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.engine.conftest import a_request, never
from tests.engine.test_contract import pictures, wait_for
from webui.core.errors import Cancelled, EngineDied, EngineError, LoadFailed, SetupError, UnknownName, Unsupported
from webui.core.events import Loading, Step
from webui.engine import process
from webui.engine.child import portable
from webui.engine.config import EngineConfig
from webui.engine.process import EngineProcess
from webui.engine.wire import receive

FAKE = "webui.engine.factory:fake"


@pytest.fixture
def make():
    made = []

    def start(factory=FAKE, **options):
        made.append(EngineProcess(options, factory))
        return made[-1]

    yield start
    for engine in made:
        engine.close()


def pid(engine):
    return engine._child.process.pid


def test_killed_while_it_works_then_works_again(make):
    engine = make(delay=0.05)
    request = a_request(count=3, sampling={"steps": 5})
    seen = []
    with pytest.raises(EngineDied, match=r"was ended \(SIGKILL\), perhaps because memory ran out"):
        for event in engine.run(request, cancelled=never):
            seen.append(event)
            if pictures(seen):
                os.kill(pid(engine), signal.SIGKILL)
    assert engine.state().status == "restarting"
    assert "SIGKILL" in engine.state().message
    rest = pictures(engine.run(request, first=len(pictures(seen)), cancelled=never))
    assert [event.index for event in rest] == [1, 2]
    assert engine.state().status == "idle"


def test_killed_while_it_is_idle(make):
    engine = make()
    pictures(engine.run(a_request(), cancelled=never))
    os.kill(pid(engine), signal.SIGKILL)
    wait_for(lambda: engine.state().status == "restarting")
    assert len(pictures(engine.run(a_request(), cancelled=never))) == 1


def test_a_process_that_ends_by_itself_says_its_code(make):
    with pytest.raises(EngineDied, match="code 3"):
        list(make("tests.engine.engines:breaking").run(a_request(prompt="exit"), cancelled=never))


def test_errors_cross_as_what_they_are(make):
    engine = make("tests.engine.engines:breaking")
    with pytest.raises(LoadFailed, match="no such weights"):
        list(engine.run(a_request(prompt="known"), cancelled=never))
    with pytest.raises(EngineError, match="ZeroDivisionError: by nought"):
        list(engine.run(a_request(prompt="unknown"), cancelled=never))
    assert len(pictures(engine.run(a_request(), cancelled=never))) == 1, "and it still works"


def test_an_engine_that_cannot_be_built_says_why(make):
    engine = make("tests.engine.engines:impossible")
    with pytest.raises(EngineDied, match=r"There is no such device\. Choose another\."):
        list(engine.run(a_request(), cancelled=never))
    assert "no such device" in engine.state().message


def test_cancelled_between_events(make):
    """While a slow step runs nothing is heard of it, and the question is asked all the same."""
    engine = make(delay=0.4)
    pictures(engine.run(a_request(sampling={"steps": 1}), cancelled=never))
    asked = time.monotonic()
    with pytest.raises(Cancelled):
        list(engine.run(a_request(sampling={"steps": 100}), cancelled=lambda: time.monotonic() - asked > 0.6))
    assert time.monotonic() - asked < 5


@pytest.mark.parametrize("factory", [FAKE, "tests.engine.engines:hanging"], ids=["loading", "hanging"])
def test_a_cancel_does_not_wait_for_an_engine_that_loads_or_hangs(make, monkeypatch, factory):
    monkeypatch.setattr(process, "GRACE", 0.1)
    engine = make(factory, load_delay=3600)
    begun = []
    with pytest.raises(Cancelled):
        for event in engine.run(a_request(prompt="hang"), cancelled=lambda: bool(begun)):
            begun.append(event)
    assert len(begun) == 1


def test_after_a_cancel_the_next_run_waits_for_the_long_step_and_hears_nothing_of_it(make, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.05)
    engine = make("tests.engine.engines:hanging")
    begun = []
    with pytest.raises(Cancelled):
        for event in engine.run(a_request(prompt="slow", sampling={"steps": 9}), cancelled=lambda: bool(begun)):
            begun.append(event)
    assert engine._child.left == {1}
    first = pid(engine)
    events = list(engine.run(a_request(sampling={"steps": 1}), cancelled=never))
    assert events[0] == Loading(process.STILL_BUSY)
    assert [(event.step, event.total) for event in events if isinstance(event, Step)] == [(1, 1)]
    assert len(pictures(events)) == 1
    assert pid(engine) == first, "a long step is no reason to end it"
    assert engine._child.left == set()


def test_an_engine_that_hangs_after_a_cancel_is_replaced_for_the_next_run(make, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.1)
    monkeypatch.setattr(process, "WEDGED", 0.5)
    engine = make("tests.engine.engines:hanging")
    begun = []
    with pytest.raises(Cancelled):
        for event in engine.run(a_request(prompt="hang"), cancelled=lambda: bool(begun)):
            begun.append(event)
    first = pid(engine)
    events = list(engine.run(a_request(), cancelled=never))
    assert "so it was ended and starts anew" in [event.message for event in events if isinstance(event, Loading)][1]
    assert len(pictures(events)) == 1
    assert pid(engine) != first
    assert not psutil.pid_exists(first)


def test_a_run_of_its_own_is_never_too_slow(make, monkeypatch):
    monkeypatch.setattr(process, "WEDGED", 0.0)
    engine = make(delay=0.5, load_delay=0.5)
    events = list(engine.run(a_request(sampling={"steps": 1}), cancelled=never))
    assert len(pictures(events)) == 1
    assert not [event for event in events if isinstance(event, Loading) and event.message in (process.STUCK, process.STILL_BUSY)]


def test_a_run_that_is_cancelled_while_it_waits_never_begins(make, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(process, "GRACE", 0.05)
    engine = make("tests.engine.engines:hanging")
    for _ in range(2):
        begun = []
        with pytest.raises(Cancelled):
            for event in engine.run(a_request(prompt="slow"), cancelled=lambda: bool(begun)):  # noqa: B023  # called in here
                begun.append(event)
    assert begun == [Loading(process.STILL_BUSY)]
    assert len(pictures(engine.run(a_request(), cancelled=never))) == 1
    wait_for(lambda: caplog.text.count("a run begins") >= 2, 10)
    assert caplog.text.count("a run begins") == 2, "the first and the last"


def test_close_while_it_works(make):
    engine = make(delay=30)
    events = engine.run(a_request(), cancelled=never)
    next(events)
    begin = time.monotonic()
    engine.close()
    assert time.monotonic() - begin < 2
    assert not psutil.pid_exists(pid(engine)) or psutil.Process(pid(engine)).status() == psutil.STATUS_ZOMBIE
    with pytest.raises(EngineDied):
        list(events)
    engine.close()
    assert engine.state().status == "stopped"
    with pytest.raises(EngineDied):
        list(engine.run(a_request(), cancelled=never))


def test_state_never_waits(make):
    engine = make(delay=30, load_delay=30)
    begin = time.monotonic()
    assert engine.state().status == "starting"
    engine.warm("x")
    engine.state()
    assert time.monotonic() - begin < 0.5


def test_an_interrupt_at_the_terminal_leaves_it_alone(make):
    engine = make(delay=0.05)
    seen = []
    for event in engine.run(a_request(sampling={"steps": 6}), cancelled=never):
        if isinstance(event, Step) and event.step == 2:
            os.kill(pid(engine), signal.SIGINT)
        seen.append(event)
    assert len(pictures(seen)) == 1


def test_it_runs_below_the_page(make):
    engine = make()
    pictures(engine.run(a_request(), cancelled=never))
    assert psutil.Process(pid(engine)).nice() >= min(19, psutil.Process().nice() + 5)


def test_what_it_prints_goes_to_the_log(make, caplog):
    caplog.set_level(logging.INFO)
    engine = make("tests.engine.engines:talkative")
    assert len(pictures(engine.run(a_request(), cancelled=never))) == 1
    wait_for(lambda: "said on stdout" in caplog.text and "said on stderr" in caplog.text, 10)


ORPHAN = """
import sys, time
from webui.engine.process import EngineProcess
engine = EngineProcess({"delay": 60}, "webui.engine.factory:fake")
from tests.engine.conftest import a_request, never
events = engine.run(a_request(), cancelled=never)
next(events)
print(engine._child.process.pid, flush=True)
print(any(name in sys.modules for name in ("torch", "diffusers", "multiprocessing")), flush=True)
time.sleep(60)
"""


def test_it_does_not_outlive_its_parent():
    root = Path(__file__).parent.parent.parent
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, cwd=root)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)


def test_what_was_measured_is_not_measured_again(home):
    engine = EngineProcess(EngineConfig(home / "models", "cpu", probed=("cpu", "fp32", "sdpa")))
    try:
        pictures(engine.run(a_request(), cancelled=never))
        assert engine._config.probed == ("cpu", "fp32", "sdpa")
        assert engine.state().label.endswith("fp32")
    finally:
        engine.close()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu; rm", ""])
def test_a_device_that_is_none_is_refused_at_once(device):
    with pytest.raises(SetupError, match="--device takes auto, cpu, cuda"):
        EngineConfig(Path("models"), device)


def test_messages_hold_nothing_but_messages():
    import io
    import struct

    for thing in (os.getcwd, subprocess.Popen, eval):
        data = pickle.dumps(thing)
        with pytest.raises(pickle.UnpicklingError, match="no part of a message"):
            receive(io.BytesIO(struct.pack(">Q", len(data)) + data))
    with pytest.raises(EOFError):
        receive(io.BytesIO(struct.pack(">Q", 10) + b"short"))


def test_errors_keep_what_they_know():
    error = pickle.loads(pickle.dumps(UnknownName("sampler", "Eulr", ["Euler"], field="sampling.sampler")))
    assert (str(error), error.field, error.kind, error.name) == (
        "There is no sampler called “Eulr”. Did you mean “Euler”?",
        "sampling.sampler",
        "sampler",
        "Eulr",
    )

    class Foreign(Unsupported):
        pass

    assert type(portable(Foreign("no", field="width"))).__name__ == "UserError"
    assert portable(Foreign("no", field="width")).field == "width"
