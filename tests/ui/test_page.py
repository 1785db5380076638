"""The page as it is mounted: its assets, its element ids, and that Gradio's doors are shut."""

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient

from tests.library.weights import diffusers_folder
from webui.app import Gesso, build
from webui.core.job import Person
from webui.settings import Settings
from webui.ui import builtin, form, overview, page, static
from webui.ui.tabs import Shell, Tab, settings
from webui.ui.widgets import fields


@pytest.fixture(scope="module")
def gesso(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gesso]:
    folder = tmp_path_factory.mktemp("page")
    diffusers_folder(folder / "models" / "checkpoints" / "tiny")
    made = build(Settings(data_dir=folder, fake_engine=True, extensions=False, browser=False), 7860)
    yield made
    made.studio.close()


@pytest.fixture(scope="module")
def client(gesso: Gesso) -> Iterator[TestClient]:
    with TestClient(gesso.door, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 50000)) as made:
        yield made


@pytest.fixture(scope="module")
def config(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/config").json()
    return found


def test_the_page_has_every_field_under_its_id(config: dict[str, Any]) -> None:
    ids = [component["props"].get("elem_id") for component in config["components"]]
    named = [name for name in ids if name]
    assert {*form.REQUEST_FIELDS.values(), *form.OWN_FIELDS.values()} <= set(named)
    assert len(named) == len(set(named))


def test_a1111s_ids_are_there(client: TestClient, config: dict[str, Any]) -> None:
    text = str(config)
    for name in ("txt2img_prompt", "txt2img_neg_prompt", "txt2img_generate", "txt2img_interrupt", "txt2img_steps", "txt2img_sampling"):
        assert f"'{name}'" in text
    for name in (
        "txt2img_scheduler",
        "txt2img_width",
        "txt2img_height",
        "txt2img_cfg_scale",
        "txt2img_seed",
        "setting_sd_model_checkpoint",
    ):
        assert f"'{name}'" in text
    assert 'id="txt2img_gallery"' in text


def test_gradios_doors_are_shut(config: dict[str, Any]) -> None:
    assert config["analytics_enabled"] is False
    assert not config.get("footer_links")
    assert not config.get("is_space")
    assert not config.get("run_history")
    assert all(dependency["api_visibility"] == "private" for dependency in config["dependencies"])


def test_gradios_info_names_no_handler(client: TestClient) -> None:
    info = client.get("/gradio_api/info").json()
    assert info["named_endpoints"] == {}


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=pyproject.toml", "/gradio_api/file=/etc/hostname", "/monitoring", "/gradio_api/monitoring"]
)
def test_no_file_and_no_monitoring_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (403, 404)


def test_the_head_names_assets_that_exist_and_no_other_host(client: TestClient) -> None:
    html = client.get("/").text
    addresses = re.findall(r'(?:src|href)="(ui/[^"]+)"', html)
    assert {address.rpartition("/")[2] for address in addresses} >= {*static.STYLES, "first.js", "main.js"}
    for address in addresses:
        answer = client.get("/" + address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"]
    assert re.findall(r'(?:src|href)="(?:https?:)?//(?!127\.0\.0\.1)[^"]*"', html) == []
    assert "og:image" not in html


def test_every_script_imports_what_exists_and_every_icon_is_drawn() -> None:
    sprite = (static.FOLDER / "icons.svg").read_text()
    icons = set(re.findall(r'symbol id="([\w-]+)"', sprite))
    for script in static.FOLDER.glob("*.js"):
        text = script.read_text()
        for imported in re.findall(r'from "\./([\w.]+)"', text):
            assert (static.FOLDER / imported).is_file(), f"{script.name} imports {imported}"
        assert set(re.findall(r'\bicon\("([\w-]+)"\)', text)) <= icons, script.name
    for source in Path(fields.__file__).parent.parent.rglob("*.py"):
        assert set(re.findall(r'icon(?:_button)?\("([\w-]+)"', source.read_text())) <= icons, source.name


def test_scripts_and_styles_name_no_host_and_no_machine() -> None:
    for asset in static.FOLDER.iterdir():
        hosts = set(re.findall(r"https?://([\w.]+)", asset.read_text()))
        assert hosts <= {"www.w3.org", "lucide.dev"}, asset.name  # a name space, and whom the icons' shapes are from


def test_the_stamp_follows_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    before = static.stamp(tmp_path)
    (tmp_path / "a.js").write_text("2")
    assert static.stamp(tmp_path) != before


def test_the_builtin_tabs_are_in_order() -> None:
    tabs = builtin.register_tabs()
    assert all(isinstance(tab, Tab) for tab in tabs)
    assert [tab.id for tab in sorted(tabs, key=lambda tab: tab.order)] == ["txt2img", "gallery", "settings"]


def test_an_extensions_tab_stands_among_ours(gesso: Gesso) -> None:
    def build_tab(shell: Shell) -> None:
        gr.Markdown("hello", elem_id="hello_from_an_extension")

    tabs = [*builtin.register_tabs(), Tab(id="hello", label="Hello & more", order=50, build=build_tab)]
    config = page.blocks(gesso.studio, gesso.settings, tabs).get_config_file()
    assert 'data-tab="hello"' in str(config) and "Hello &amp; more" in str(config)
    ids = [component["props"].get("elem_id") for component in config["components"]]
    order = [ids.index(f"tab_{name}") for name in ("txt2img", "hello", "gallery", "settings")]
    assert order == sorted(order) and "hello_from_an_extension" in ids


def test_limits_are_the_requests_own() -> None:
    assert form.limits("sampling.steps") == (1, 150)
    assert form.limits("width") == (64, 4096)
    assert set(fields.numbers()) == {form.REQUEST_FIELDS[name] for name in form.NUMBERS}


def test_a_prompt_is_counted(client: TestClient) -> None:
    answer = client.post("/ui/tokens", json={"checkpoint": "tiny", "text": "a lake"})
    assert answer.json()["limit"] == 75


def test_the_settings_show_how_it_was_started_but_no_passcode(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path, passcode="sesame-1234")
    rows = {row.name: row for row in overview.started_with(given)}
    assert rows["--data-dir"].value == str(tmp_path)
    assert rows["--no-browser"].value == "no"
    assert "sesame" not in str(rows) + settings._link(given)


def test_a_collaborator_sees_no_folders(gesso: Gesso, client: TestClient) -> None:
    told = client.get("/ui/overview").json()
    assert any(row["name"] == "--models-dir" for row in told["start"])
    app = FastAPI()
    app.include_router(overview.router(gesso.studio, gesso.settings))
    guest = Person(id="guest", name="Guest", host=False)

    @app.middleware("http")
    async def as_guest(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        request.scope["state"] = {"person": guest}
        return await go_on(request)

    with TestClient(app) as visitor:
        assert visitor.get("/ui/overview").json()["start"] is None
