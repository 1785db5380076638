"""Rows looked up by id or alias, in the order they were registered."""

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from webui.core.errors import SetupError, UnknownName


class Named(Protocol):
    """A row with an id; `aliases` is optional."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=Named)


class Registry(Generic[Row]):
    """Frozen once built. Names are matched without regard to case; a name taken twice raises `SetupError`."""

    def __init__(self, kind: str, rows: Iterable[Row]) -> None:
        self.kind = kind
        self._rows: dict[str, Row] = {}
        self._names: dict[str, str] = {}
        for row in rows:
            for name in (row.id, *getattr(row, "aliases", ())):
                taken = self._names.setdefault(name.lower(), row.id)
                if taken != row.id or row.id in self._rows and name == row.id:
                    raise SetupError(f"Two {kind}s are called “{name}”.")
            self._rows[row.id] = row

    def find(self, name: str, *, field: str | None = None) -> Row:
        """Raises `UnknownName` with the nearest known name."""
        known = self._names.get(name.lower())
        if known is None:
            raise UnknownName(self.kind, name, self._rows, field=field)
        return self._rows[known]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._rows)
