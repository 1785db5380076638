import io
import zipfile

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.api.conftest import HERE, client_of, error, finished, make
from webui.app import Gesso
from webui.core.errors import NotAllowed
from webui.core.job import Person
from webui.core.request import RequestDraft


@pytest.fixture
def picture(client: TestClient) -> str:
    return str(make(client, prompt="a red barn", sampling={"steps": 2, "seed": 7})["pictures"][0]["id"])


def test_a_picture_is_sent_once_and_kept(client: TestClient, picture: str) -> None:
    answer = client.get(f"/api/images/{picture}/file")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("inline")
    assert Image.open(io.BytesIO(answer.content)).size == (64, 64)
    again = client.get(f"/api/images/{picture}/file", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/api/images/{picture}/file", headers={"If-None-Match": '"other"'}).status_code == 200
    download = client.get(f"/api/images/{picture}/file?download=1")
    assert download.headers["content-disposition"].startswith("attachment")
    part = client.get(f"/api/images/{picture}/file", headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, b"\x89PNG\r\n\x1a\n")


def test_a_thumbnail_is_a_small_webp(client: TestClient, picture: str) -> None:
    answer = client.get(f"/api/images/{picture}/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 256
    assert client.get(f"/api/images/{picture}/thumbnail?size=128").status_code == 200
    assert error(client.get(f"/api/images/{picture}/thumbnail?size=99999"))["field"] == "size"


def test_search_star_trash_and_back(client: TestClient, picture: str) -> None:
    assert client.get("/api/images", params={"query": "barn"}).json()["total"] == 1
    assert client.get("/api/images", params={"query": "castle"}).json()["total"] == 0
    assert client.post(f"/api/images/{picture}/star", json={"starred": True}).json()["starred"] is True
    assert client.get("/api/images", params={"starred": True}).json()["total"] == 1
    (gone,) = client.post("/api/images/trash", json={"ids": [picture]}).json()
    assert gone["trashed_at"] is not None
    assert client.get("/api/images").json()["total"] == 0
    assert client.get("/api/images", params={"trashed": True}).json()["total"] == 1
    client.post("/api/images/restore", json={"ids": [picture]}).raise_for_status()
    assert client.get("/api/images").json()["total"] == 1


def test_whoever_asks_for_their_own_gets_no_one_elses(gesso: Gesso, client: TestClient, picture: str) -> None:
    assert [one["id"] for one in client.get("/api/images", params={"mine": True}).json()["pictures"]] == [picture]
    guest = Person(id="guest", name="Guest", host=False)
    assert gesso.studio.pictures(owner=guest.id).total == 0
    job = gesso.studio.submit(RequestDraft.parse({"prompt": "hills", "width": 64, "height": 64, "sampling": {"steps": 2}}), guest)
    finished(client, job.id)
    assert {one.owner for one in gesso.studio.pictures(owner=guest.id).pictures} == {"guest"}
    assert [one["id"] for one in client.get("/api/images", params={"mine": True}).json()["pictures"]] == [picture]


def test_the_trash_is_emptied_for_good_by_the_host_alone(gesso: Gesso, client: TestClient, picture: str) -> None:
    file = gesso.studio.gallery.file(picture)
    assert client.post("/api/images/trash/empty").json() == {"count": 0}
    client.post("/api/images/trash", json={"ids": [picture]}).raise_for_status()
    guest = Person(id="guest", name="Guest", host=False)
    for refused in (gesso.studio.empty_trash, gesso.studio.rebuild_gallery):
        with pytest.raises(NotAllowed):
            refused(guest)
    assert client.post("/api/images/trash/empty").json() == {"count": 1}
    assert client.get("/api/images", params={"trashed": True}).json()["total"] == 0
    assert client.get(f"/api/images/{picture}").status_code == 404
    assert not file.exists()


def test_pictures_that_were_moved_by_hand_are_found_again(gesso: Gesso, client: TestClient, picture: str) -> None:
    file = gesso.studio.gallery.file(picture)
    elsewhere = file.parent.parent / "2001-01-01"
    elsewhere.mkdir()
    file.rename(elsewhere / file.name)
    assert client.post("/api/images/rebuild").json() == {"count": 1}
    (found,) = client.get("/api/images").json()["pictures"]
    assert found["path"].startswith("2001-01-01/")
    assert client.get(f"/api/images/{found['id']}/file").status_code == 200


@pytest.mark.parametrize("query", ['"', "a AND (", "NEAR(", "*", "prompt:x", "-", "\x00", "'; DROP TABLE pictures;--", "x" * 1000, "🏔"])
def test_any_search_is_an_answer(client: TestClient, picture: str, query: str) -> None:
    assert client.get("/api/images", params={"query": query}).status_code == 200
    assert client.get("/api/images").json()["total"] == 1


@pytest.mark.parametrize("window", ["page=0", "page=-1", "per_page=0", "per_page=501", "page=x", "page=1000001", f"query={'x' * 1001}"])
def test_pages_have_limits(client: TestClient, window: str) -> None:
    answer = client.get(f"/api/images?{window}")
    assert answer.status_code == 422
    assert error(answer)["field"] == window.partition("=")[0]


def test_a_zip_of_many_leaves_nothing_behind(gesso: Gesso, client: TestClient, picture: str) -> None:
    second = make(client)["pictures"][0]["id"]
    for answer in (
        client.post("/api/images/archive", json={"ids": [picture, second]}),
        client.get("/api/images/archive", params={"ids": f"{picture},{second}"}),
    ):
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            assert len(archive.namelist()) == 2
    assert not list(gesso.settings.outputs.rglob("*.zip*"))


@pytest.mark.parametrize("ids", [[], [""], ["x" * 101], "p", [1], [None], ["a"] * 1001])
def test_ids_have_limits(client: TestClient, ids: object) -> None:
    answer = client.post("/api/images/trash", json={"ids": ids})
    assert answer.status_code == 422
    assert error(answer)["field"].startswith("ids")


def test_a_file_says_how_it_was_made_wherever_it_is_dropped(client: TestClient, picture: str) -> None:
    data = client.get(f"/api/images/{picture}/file").content
    dropped = [
        client.get(f"/api/images/{picture}/parameters"),
        client.post("/api/parameters", files={"file": ("a.png", data, "image/png")}),
        client.post("/api/parameters", content=data, headers={"Content-Type": "image/png"}),
    ]
    for answer in dropped:
        assert answer.status_code == 200, answer.text
        draft = answer.json()["draft"]
        assert (draft["prompt"], draft["sampling"]["seed"]) == ("a red barn", 7)
        assert client.post("/api/jobs", json=draft).status_code == 202


def test_a_pasted_text_is_read_too(client: TestClient) -> None:
    text = "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 512x768"
    answer = client.post("/api/parameters", content=text, headers={"Content-Type": "text/plain; charset=utf-8"}).json()
    assert (answer["draft"]["negative_prompt"], answer["draft"]["sampling"]["sampler"]) == ("a dog", "Euler a")


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, b"<svg/>", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused_in_a_sentence(client: TestClient, data: bytes) -> None:
    answer = client.post("/api/parameters", content=data, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 422
    error(answer)
    error(client.post("/api/parameters", files={"other": ("a.png", data)}))


def test_a_form_without_a_file_is_refused(client: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x--\r\n", b"", b"--x\r\n\r\n", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'):
        answer = client.post("/api/parameters", content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        error(answer)


TRAVERSAL = [
    "..", "../..", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..\\..\\windows\\win.ini", "%5c..%5c", "/etc/passwd",
    "//etc/passwd", "C:%5cWindows%5cwin.ini", "C:/Windows/win.ini", "%00", "a%00.png", "con", "NUL.png", "aux.txt", "file.png.",
    "file.png%20", "%c0%ae%c0%ae/", "....//", "~root", "gesso.sqlite3", "..%252f..", "%ff", "\u202e", "a" * 5000, "2026-11-23/00001.png",
    ".cache", "*", "%0d%0aset-cookie:x=1",
]  # fmt: skip
STRING_ROUTES = [
    ("GET", "/api/images/{}"), ("GET", "/api/images/{}/file"), ("GET", "/api/images/{}/thumbnail"), ("GET", "/api/images/{}/parameters"),
    ("POST", "/api/images/{}/star"), ("POST", "/api/images/{}/reveal"), ("GET", "/api/jobs/{}"), ("GET", "/api/jobs/{}/events"),
    ("DELETE", "/api/jobs/{}"), ("POST", "/api/jobs/{}/move"), ("GET", "/api/images/archive?ids={}"), ("GET", "/api/draft/{}"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "route"), STRING_ROUTES)
def test_no_name_leads_out_of_the_gallery(client: TestClient, picture: str, method: str, route: str) -> None:
    for name in TRAVERSAL:
        if name == ".." and route.endswith("events"):
            continue  # the client itself makes /api/events of it, which never ends
        answer = client.request(method, f"{HERE}{route.format(name)}", json={} if method == "POST" else None)
        open_list = route.startswith("/api/images/{}") and answer.status_code == 200 and "pictures" in answer.json()
        free_name = route.startswith("/api/draft") and answer.json() == {"form": None}
        assert open_list or free_name or 400 <= answer.status_code < 500, (name, answer.status_code)
        assert "root:" not in answer.text
        assert "set-cookie" not in answer.headers


def test_names_in_bodies_lead_nowhere_either(client: TestClient, picture: str) -> None:
    for name in TRAVERSAL:
        for path in ("/api/images/trash", "/api/images/restore", "/api/images/archive"):
            assert client.post(path, json={"ids": [name]}).status_code in (404, 422)
        assert client.post("/api/jobs", json={"checkpoint": name}).status_code in (404, 422)
    assert client.get("/api/images").json()["total"] == 1


def test_a_form_is_kept_for_each_browser_and_person(gesso: Gesso, client: TestClient) -> None:
    assert client.get("/api/draft/laptop").json() == {"form": None}
    form = {"prompt": "half a thou", "steps": 3, "nested": {"a": [1, None]}}
    client.put("/api/draft/laptop", json={"form": form}).raise_for_status()
    assert client.get("/api/draft/laptop").json() == {"form": form}
    assert client.get("/api/draft/phone").json() == {"form": None}
    assert error(client.put("/api/draft/laptop", json={"form": {"a": "x" * 300_000}}))["kind"] == "UserError"


def test_showing_the_file_needs_the_host(gesso: Gesso, client: TestClient, picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(gesso.studio.gallery, "reveal", shown.append)
    assert client.post(f"/api/images/{picture}/reveal").status_code == 204
    assert shown == [picture]


def test_what_there_is(client: TestClient) -> None:
    found = client.get("/api/capabilities").json()
    assert {"DPM++ 2M", "Euler a", "DDIM"} <= {row["id"] for row in found["samplers"]}
    checkpoint, *_ = client.get("/api/checkpoints").json()
    assert (checkpoint["id"], checkpoint["family"]) == ("tiny", "sd15")
    assert "path" not in checkpoint


def test_the_description_is_whole(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    from webui.api import routes

    assert {(method.upper(), path) for path, row in described["paths"].items() for method in row} == set(routes())
    schema = described["components"]["schemas"]["RequestDraft"]["properties"]
    assert schema["width"]["anyOf"][0]["maximum"] == 4096
    page = client.get("/docs")
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text


def test_the_api_is_the_same_for_a_second_client(gesso: Gesso, picture: str) -> None:
    with client_of(gesso) as other:
        assert other.get(f"/api/images/{picture}").json()["prompt"] == "a red barn"
