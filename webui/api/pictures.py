"""Pictures: search, look at, star, trash, take home; and what a dropped file says about how it was made."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile

from webui.api.schema import Counted, ErrorView, Ids, Star, TheStudio, Who
from webui.api.strict import StrictRoute
from webui.core.picture import Picture, PicturePage
from webui.gallery.parameters import Parameters
from webui.gallery.thumbnails import DEFAULT_SIZE

router = APIRouter(prefix="/api", tags=["pictures"], route_class=StrictRoute, responses={"4XX": {"model": ErrorView}})

FOR_EVER = "private, max-age=31536000, immutable"  # an id stands for one file, which never changes
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
WEBP: dict[int | str, dict[str, Any]] = {200: {"content": {"image/webp": {}}}}
ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}}}


@router.get("/images", summary="Search pictures")
def images(  # noqa: PLR0913  # each is a query parameter
    studio: TheStudio,
    who: Who,
    query: Annotated[str, Query(max_length=1000, description="Words of the prompt; all must be there.")] = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
    per_page: Annotated[int, Query(ge=1, le=500)] = 60,
    starred: bool = False,
    trashed: bool = False,
    mine: Annotated[bool, Query(description="Only those that whoever asks has made.")] = False,
) -> PicturePage:
    """Newest first."""
    return studio.pictures(query, page=page, per_page=per_page, starred=starred, trashed=trashed, owner=who.id if mine else None)


@router.post("/images/trash", summary="Move pictures to the trash")
def trash(body: Ids, studio: TheStudio, who: Who) -> list[Picture]:
    """`restore` takes them back. A collaborator may move their own, the host everyone's."""
    return studio.trash(body.ids, who)


@router.post("/images/restore", summary="Take pictures out of the trash")
def restore(body: Ids, studio: TheStudio, who: Who) -> list[Picture]:
    return studio.restore(body.ids, who)


@router.post("/images/trash/empty", summary="Delete what is in the trash, for good")
def empty_trash(studio: TheStudio, who: Who) -> Counted:
    """The host only; it cannot be undone. `count` pictures are gone."""
    return Counted(count=studio.empty_trash(who))


@router.post("/images/rebuild", summary="Read every picture file again")
def rebuild(studio: TheStudio, who: Who) -> Counted:
    """For an index that is damaged, or after files were moved by hand. The host only; minutes for many. `count` pictures are there."""
    return Counted(count=studio.rebuild_gallery(who))


@router.post("/images/archive", summary="Many pictures as a zip", response_class=FileResponse, responses=ZIP)
def archive(body: Ids, studio: TheStudio) -> FileResponse:
    return _zip(studio.archive(body.ids))


@router.get("/images/archive", summary="Many pictures as a zip, by a link", response_class=FileResponse, responses=ZIP)
def archive_by_link(studio: TheStudio, ids: Annotated[str, Query(max_length=20_000, description="Split by commas.")]) -> FileResponse:
    return _zip(studio.archive([name for name in ids.split(",") if name][:1000]))


@router.get("/images/{picture_id}", summary="One picture's facts")
def image(picture_id: str, studio: TheStudio) -> Picture:
    return studio.picture(picture_id)


@router.get("/images/{picture_id}/file", summary="The picture itself", response_class=FileResponse, responses=PNG)
def file(picture_id: str, request: Request, studio: TheStudio, download: bool = False) -> Response:
    """As it lies on disk, with everything that made it inside. `download=1` saves it under its own name."""
    picture = studio.picture(picture_id)
    return _send(request, studio.gallery.file(picture.id), picture.id, "image/png", download=download)


@router.get("/images/{picture_id}/thumbnail", summary="A small copy", response_class=FileResponse, responses=WEBP)
def thumbnail(picture_id: str, request: Request, studio: TheStudio, size: int = DEFAULT_SIZE) -> Response:
    """`size` is the longer side in px; only a few are kept, and 422 says which."""
    path = studio.gallery.thumbnail(picture_id, size)
    return _send(request, path, f"{picture_id}-{size}", "image/webp", download=False)


@router.get("/images/{picture_id}/parameters", summary="How a picture was made")
def parameters(picture_id: str, studio: TheStudio) -> Parameters:
    return studio.parameters_of(picture_id)


@router.post("/images/{picture_id}/star", summary="Star a picture, or take the star off")
def star(picture_id: str, body: Star, studio: TheStudio, who: Who) -> Picture:
    """A collaborator may star their own, the host everyone's."""
    return studio.star(picture_id, body.starred, who)


@router.post("/images/{picture_id}/reveal", status_code=204, summary="Show the file in this machine's file manager")
def reveal(picture_id: str, studio: TheStudio, who: Who) -> None:
    """The host only."""
    studio.reveal(picture_id, who)


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "text/plain": {"schema": {"type": "string"}},
        },
    }
}


@router.post("/parameters", summary="What a picture file or an infotext says", openapi_extra=BODY)
async def read_parameters(request: Request, studio: TheStudio) -> Parameters:
    """Gesso's or A1111's: a form with the file in it, or the file alone, or the text (as text/plain) as the body."""
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith("multipart/"):
        async with request.form(max_files=1, max_fields=8) as form:
            found = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if not found:
                raise HTTPException(422, "There is no file in this form.")
            data = await found[0].read()
    else:
        data = await request.body()
    if not data:
        raise HTTPException(422, "There is nothing in what was sent: send a picture file, or the text of its parameters.")
    if kind.startswith("text/"):
        return await run_in_threadpool(studio.parse_parameters, data.decode("utf-8", "replace"))
    return await run_in_threadpool(studio.read_parameters, data)


def _send(request: Request, path: Path, tag: str, kind: str, *, download: bool) -> Response:
    """A file that browsers keep; 304 for one that they have."""
    headers = {"Cache-Control": FOR_EVER, "ETag": f'"{tag}"'}
    asked = request.headers.get("if-none-match", "")
    if any(known.strip().removeprefix("W/") in (headers["ETag"], "*") for known in asked.split(",")):
        return Response(status_code=304, headers=headers)
    disposition = "attachment" if download else "inline"
    return FileResponse(path, media_type=kind, headers=headers, filename=path.name, content_disposition_type=disposition)


def _zip(path: Path) -> FileResponse:
    """The temporary file is gone once it was sent."""
    gone = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, media_type="application/zip", filename="gesso-pictures.zip", background=gone)
