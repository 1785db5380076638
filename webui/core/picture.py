"""A finished image in the gallery, as the index knows it."""

from webui.core.request import Frozen


class Picture(Frozen):
    """`path` is relative to the outputs folder; times are seconds since 1970 (UTC)."""

    id: str
    job_id: str | None  # None for a file that was found, not made here
    index: int  # 0-based within its job
    owner: str
    path: str
    width: int
    height: int
    bytes: int
    seed: int | None
    checkpoint: str | None
    prompt: str
    negative_prompt: str
    created_at: float
    starred: bool = False
    trashed_at: float | None = None


class PicturePage(Frozen):
    """A window on a search: `total` pictures match, `pictures` are those of this page (newest first)."""

    pictures: tuple[Picture, ...]
    total: int
    page: int  # 1-based
    per_page: int
