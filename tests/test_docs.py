"""A hook, a setting, a command-line option, a route or a table row that is missing from the documents fails."""

import re
from pathlib import Path

import pytest

from webui import hooks
from webui.options import OPTIONS
from webui.settings import Settings

DOCS = Path(__file__).parent.parent / "webui" / "docs"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def read(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def test_every_hook_is_documented() -> None:
    specified = [name for name, member in vars(hooks).items() if hasattr(member, f"{hooks.PROJECT}_spec")]
    assert specified
    assert [name for name in specified if f"`{name}" not in read("hooks")] == []


def test_every_option_is_documented_and_nothing_else() -> None:
    text = read("settings")
    flags = {name for option in OPTIONS for name in (option.flag, *option.aliases)}
    documented = set(re.findall(r"`(--[a-z-]+)", text))
    assert documented == flags | {"--torch", "--reinstall", "--skip-install", "--help"}


def test_every_setting_has_an_option() -> None:
    assert {option.field for option in OPTIONS} == set(Settings.model_fields)


def test_every_route_is_documented() -> None:
    from webui.api import routes  # built per test run: a route added anywhere in the package appears here

    text = read("api")
    missing = [f"{method} {path}" for method, path in routes() if f"`{method} {path}`" not in text]
    assert missing == []


@pytest.mark.parametrize("name", ["python launch.py", "python launch.py test", "models/checkpoints", "--listen"])
def test_the_readme_says_the_commands(name: str) -> None:
    assert name in README


@pytest.mark.parametrize("document", sorted(path.name for path in DOCS.glob("*.md")) + ["../../README.md"])
def test_links_lead_somewhere(document: str) -> None:
    path = DOCS / document
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    broken = [target for target in targets if "://" not in target and not (path.parent / target).exists()]
    assert broken == []


def test_the_adding_page_names_real_places() -> None:
    root = Path(__file__).parent.parent
    places = re.findall(r"`(webui/[a-z_/]+(?:\.py)?)`", read("adding"))
    assert places
    assert [place for place in places if not (root / place).exists()] == []
