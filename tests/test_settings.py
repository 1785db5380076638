from pathlib import Path

import pytest

from webui.core.errors import SetupError
from webui.options import OPTIONS
from webui.settings import ROOT, Settings, from_command_line, parser


def test_nothing_asked_for_is_the_safe_start() -> None:
    settings = from_command_line([])
    assert (settings.bind, settings.shared, settings.browser, settings.extensions) == ("127.0.0.1", False, True, True)
    assert settings.outputs == ROOT / "outputs"


@pytest.mark.parametrize(
    ("arguments", "bind", "shared"),
    [
        (["--listen"], "0.0.0.0", True),
        (["--host", "192.168.1.5"], "192.168.1.5", True),
        (["--server-name", "0.0.0.0"], "0.0.0.0", True),
        (["--host", "localhost"], "localhost", False),
        (["--listen", "--host", "127.0.0.1"], "127.0.0.1", False),
        (["--host", "::"], "::", True),
        (["--allow-host", "studio.example"], "127.0.0.1", True),
        (["--allow-host", " , "], "127.0.0.1", False),
    ],
)
def test_whoever_can_be_reached_is_shared(arguments: list[str], bind: str, shared: bool) -> None:
    settings = from_command_line(arguments)
    assert (settings.bind, settings.shared) == (bind, shared)


def test_a1111s_spellings() -> None:
    settings = from_command_line(["--always-cpu", "--disable-all-extensions", "--autolaunch", "--server-name=x"])
    assert (settings.device, settings.extensions, settings.browser, settings.host) == ("cpu", False, True, "x")


def test_folders_follow_the_data_folder_unless_given(tmp_path: Path) -> None:
    settings = from_command_line(["--data-dir", str(tmp_path), "--models-dir", str(tmp_path / "elsewhere")])
    assert settings.models == tmp_path / "elsewhere"
    assert settings.outputs == tmp_path / "outputs"
    assert settings.extensions_folder == tmp_path / "extensions"
    assert settings.database == tmp_path / "outputs" / "gesso.sqlite3"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (" Studio.Example, gesso.home ,", ("studio.example", "gesso.home")),
        ("https://studio.example:8443/page, gesso.home:80, [::1]:7860", ("studio.example", "gesso.home", "::1")),
    ],
)
def test_allowed_hosts_are_split_and_freed_of_what_is_no_host(given: str, names: tuple[str, ...]) -> None:
    assert from_command_line(["--allow-host", given]).allowed_hosts == names


@pytest.mark.parametrize("blank", ["    ", "  a ", "", "\t\t\t\t\t"])
def test_a_passcode_of_blanks_is_none(blank: str) -> None:
    """The login page trims what is typed: such a one would let in whoever types nothing."""
    with pytest.raises(SetupError, match="4 to 200 characters"):
        from_command_line(["--listen", "--passcode", blank])


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--lisen"], "Did you mean --listen?"),
        (["--frobnicate"], "--help"),
        (["--port", "99999"], "port"),
        (["--ram-budget", "nan"], "ram_budget"),
        (["--ram-budget", "-1"], "ram_budget"),
        (["stray"], "There is no option stray"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: list[str], hint: str) -> None:
    with pytest.raises(SetupError, match=hint) as raised:
        from_command_line(arguments)
    assert "\n" not in str(raised.value)


def test_every_row_is_a_field_and_every_flag_is_its_own() -> None:
    flags = [flag for option in OPTIONS for flag in (option.flag, *option.aliases)]
    assert len(flags) == len(set(flags))
    assert {option.field for option in OPTIONS} == set(Settings.model_fields)
    assert "--listen" in parser().format_help()
