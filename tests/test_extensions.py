import logging
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from webui.core.errors import SetupError, UserError
from webui.core.events import QueueChanged
from webui.core.job import HOST
from webui.core.parts import SamplerInfo
from webui.core.records import ModelRecord
from webui.core.request import GenerationRequest
from webui.extensions import MAX_FAILURES, Extensions
from webui.hooks import hookimpl

RECORD = ModelRecord(id="a", label="A", path=Path("a"), layout="diffusers", family="sd15", bytes=1)
REQUEST = GenerationRequest(checkpoint="a", prompt="hills")
HEAD = "from webui.hooks import hookimpl\nfrom webui.core.errors import UserError\nfrom webui.core.parts import SamplerInfo\n"


@pytest.fixture
def write(tmp_path: Path):
    def add(name: str, code: str) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(HEAD + code)
        return tmp_path

    return add


def builtin(**functions: object) -> ModuleType:
    made = ModuleType("builtin_under_test")
    for name, function in functions.items():
        setattr(made, name, hookimpl(function))
    return made


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert Extensions().report == ()
    assert Extensions((), tmp_path / "missing").report == ()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("@hookimpl\ndef on_evnt(event): pass", "Did you mean on_event?"),
        ("@hookimpl\ndef on_event(evnt): pass", "evnt"),
        ("@hookimpl(wrapper=True)\ndef on_event(event):\n    return (yield)", "wrapper"),
    ],
)
def test_a_broken_extension_is_named_and_skipped_and_the_rest_start(write, code: str, reason: str) -> None:
    write("broken", code)
    folder = write("whole", "@hookimpl\ndef register_samplers(): return [SamplerInfo(id='Mine', implementation='X')]")
    extensions = Extensions((), folder)
    broken, whole = extensions.report
    assert (broken.name, broken.status, whole.status) == ("broken", "skipped", "loaded")
    assert reason in broken.problem
    assert [row.id for row in extensions.samplers()] == ["Mine"]


def test_a_folder_without_code_and_one_with_a_bad_name_are_reported(tmp_path: Path) -> None:
    for name in ("empty", "bad name", ".hidden", "_off", "__pycache__"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("not a folder")
    assert [(row.name, row.status) for row in Extensions((), tmp_path).report] == [("bad name", "skipped"), ("empty", "skipped")]


def test_a_hook_without_its_mark_is_pointed_out(write) -> None:
    (row,) = Extensions((), write("shy", "def on_event(event): pass")).report
    assert row.status == "troubled"
    assert "on_event is not marked with @hookimpl" in row.problem


def test_submodules_are_importable_and_the_description_is_the_docstring(tmp_path: Path) -> None:
    (tmp_path / "nested").mkdir()
    code = '"""Does one thing.\n\nMore."""\nfrom gesso_extensions.nested.part import VALUE\nassert VALUE == 3\n'
    (tmp_path / "nested" / "__init__.py").write_text(code)
    (tmp_path / "nested" / "part.py").write_text("VALUE = 3\n")
    (row,) = Extensions((), tmp_path).report
    assert (row.status, row.description) == ("loaded", "Does one thing.")


def test_a_name_that_is_taken_costs_the_row_and_not_the_start(write) -> None:
    rows = builtin(register_samplers=lambda: [SamplerInfo(id="Euler", aliases=("k_euler",), implementation="E")])
    given = "[SamplerInfo(id='K_Euler', implementation='X'), SamplerInfo(id='New', implementation='X'), 7]"
    folder = write("thief", f"@hookimpl\ndef register_samplers(): return {given}")
    extensions = Extensions((rows,), folder)
    assert [row.id for row in extensions.samplers()] == ["Euler", "New"]
    assert extensions.report[0].status == "troubled"


def test_a_wrong_built_in_stops_the_start() -> None:
    twice = builtin(register_samplers=lambda: [SamplerInfo(id="A", implementation="X"), SamplerInfo(id="a", implementation="Y")])
    with pytest.raises(SetupError, match="Two samplers"):
        Extensions((twice,))


def test_requests_are_prepared_in_order_and_checked(write, caplog: pytest.LogCaptureFixture) -> None:
    change = "@hookimpl\ndef prepare_request(request): return request.model_copy(update={%s})"
    write("a", change % "'prompt': request.prompt + ' one'")
    write("b", change % "'width': 10_001")
    write("c", change % "'checkpoint': 'other'")
    write("d", "@hookimpl\ndef prepare_request(request, record, owner): raise RuntimeError('boom')")
    write("e", "@hookimpl\ndef prepare_request(request): return 7")
    folder = write("f", change % "'prompt': request.prompt + ' two'")
    extensions = Extensions((), folder)
    with caplog.at_level(logging.WARNING):
        prepared = extensions.prepare_request(REQUEST, RECORD, HOST)
    assert prepared == REQUEST.model_copy(update={"prompt": "hills one two"})
    assert [row.name for row in extensions.report if row.status == "troubled"] == ["b", "c", "d", "e"]
    assert "“d” had a problem" in caplog.text


def test_an_extension_may_refuse_a_request(write) -> None:
    folder = write("strict", "@hookimpl\ndef prepare_request(request): raise UserError('No hills today.', field='prompt')")
    with pytest.raises(UserError, match="No hills today"):
        Extensions((), folder).prepare_request(REQUEST, RECORD, HOST)


def test_a_picture_survives_an_extension_that_fails_half_way(write) -> None:
    write("a", "@hookimpl\ndef process_image(image):\n    image.paste((0, 0, 0), (0, 0, 4, 4))\n    raise RuntimeError('half way')")
    write("b", "@hookimpl\ndef process_image(image): return 'no picture'")
    folder = write("c", "@hookimpl\ndef process_image(image): return image.transpose(0)")
    picture = Image.new("RGB", (4, 4), (9, 8, 7))
    result = Extensions((), folder).process_image(picture, REQUEST, 0)
    assert result.getpixel((0, 0)) == (9, 8, 7)


def test_a_listener_that_keeps_failing_is_told_nothing_more(write) -> None:
    heard: list[object] = []
    good = builtin(on_event=lambda event: heard.append(event))
    folder = write("bad", "calls = []\n@hookimpl\ndef on_event(event):\n    calls.append(event)\n    raise RuntimeError('no')")
    extensions = Extensions((good,), folder)
    for _ in range(MAX_FAILURES + 4):
        extensions.on_event(QueueChanged(False))
    assert len(heard) == MAX_FAILURES + 4
    import gesso_extensions.bad as bad  # importable once it was found

    assert len(bad.calls) == MAX_FAILURES
    assert "told nothing more" in extensions.report[0].problem


def test_routes_carry_their_owner_and_a_failing_one_is_left_out(write) -> None:
    write("a", "@hookimpl\ndef register_routes(): return ['router']")
    folder = write("b", "@hookimpl\ndef register_routes(): raise RuntimeError('no')")
    extensions = Extensions((), folder)
    assert extensions.routes() == [("a", "router")]
    assert "register_routes failed" in extensions.report[1].problem
