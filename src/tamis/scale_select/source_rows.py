"""A source's rows as they are walked through: all of them without their pictures, or some of them with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.config import ConfigError
from tamis.named_files import NotUsable
from tamis.rows import refuse_missing_columns
from tamis.scale_select.json_files import JsonFiles
from tamis.scale_select.pictures import marks_of
from tamis.scale_select.sources import Form

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

PLAIN_ROWS, IMAGE_ROWS = 1_000, 64  # taken at once


def pool_features() -> Features:
    """What every row of the pool has; image is null where it has none."""
    from datasets import Features, Image, List, Value

    told = dict.fromkeys(("row_id", "source"), Value("string")) | {"image": Image(decode=False)}
    told |= {"conversation": List({"role": Value("string"), "content": Value("string")})}
    return Features(told | dict.fromkeys(("text", "question", "answer"), Value("string")))


@dataclass(frozen=True)
class Seen:
    """One row: its columns, pictures as marks; the id it should have, null where it has none; and what is stored."""

    row: dict[str, Any]
    row_id: Any
    stored: Any = None  # the picture's cell, where it is in the dataset and asked for


@dataclass(frozen=True)
class TableRows:
    table: Dataset
    columns: tuple[str, ...]  # that the form reads
    picture: str | None
    ids: str
    keep: tuple[str, ...]

    @classmethod
    def of(cls, table: Dataset, form: Form, id_column: str | None, keep: Sequence[str], name: str) -> TableRows:
        have = table.column_names
        picture = next((column for column in form.pictures if column in have), None)
        if form.is_talk:
            columns = tuple(column for column in form.columns if column in have)
            if not columns:
                raise ConfigError(f"{name}: no column {' or '.join(form.columns)}; it has: {', '.join(have)}")
        else:
            columns = form.columns
            refuse_missing_columns(have, (*columns, *form.pictures[:1]))
        refuse_missing_columns(have, (id_column,))
        kept = tuple(column for column in keep if column in have)
        if picture in kept:
            raise ConfigError(f"keep_columns: {picture!r} is the picture, which the pool has as `image`")
        return cls(table, columns, picture, id_column or "row_id", kept)

    @property
    def kept(self) -> Features:
        from datasets import Features

        return Features({name: self.table.features[name] for name in self.keep})

    def kept_of(self, seen: Seen) -> dict[str, Any]:
        return {name: seen.row[name] for name in self.keep}

    @property
    def rows_at_once(self) -> int:
        """How many go into memory with their pictures."""
        return IMAGE_ROWS

    def each(self) -> Iterator[Seen]:
        plain = self._arrow()
        for start in range(0, len(self.table), PLAIN_ROWS):
            yield from self._seen(plain[start : start + PLAIN_ROWS], stored=False)

    def some(self, positions: np.ndarray) -> Iterator[Seen]:
        whole = self._arrow(*self.keep)
        for start in range(0, len(positions), IMAGE_ROWS):
            yield from self._seen(whole[positions[start : start + IMAGE_ROWS].tolist()], stored=True)

    def _arrow(self, *more: str) -> Dataset:
        wanted = [self.ids, *self.columns, *([self.picture] if self.picture else []), *more]
        return self.table.select_columns(list(dict.fromkeys(wanted))).with_format("arrow")

    def _seen(self, batch: pa.Table, *, stored: bool) -> Iterator[Seen]:
        plain = [name for name in batch.column_names if name != self.picture]
        marks = marks_of(batch[self.picture]) if self.picture else [None] * len(batch)
        cells = batch[self.picture].to_pylist() if self.picture and stored else [None] * len(batch)
        for row, mark, cell in zip(batch.select(plain).to_pylist(), marks, cells, strict=True):
            yield Seen(row | {self.picture: mark} if self.picture else row, row[self.ids], cell)


@dataclass(frozen=True)
class FileRows:
    files: JsonFiles
    split: str
    ids: str | None
    keep: tuple[str, ...]

    @property
    def kept(self) -> Features:
        """Of what types they are, no file says."""
        from datasets import Features, Value

        return Features(dict.fromkeys(self.keep, Value("string")))

    def kept_of(self, seen: Seen) -> dict[str, Any]:
        return {name: _as_text(seen.row.get(name)) for name in self.keep}

    @property
    def rows_at_once(self) -> int:
        return PLAIN_ROWS

    def each(self) -> Iterator[Seen | NotUsable]:
        for at, row in enumerate(self.files.rows()):
            if isinstance(row, NotUsable):
                yield row
            else:
                yield Seen(row, row.get(self.ids) if self.ids else f"{self.split}-{at}")

    def some(self, positions: np.ndarray) -> Iterator[Seen]:
        wanted = iter(positions.tolist())
        following = next(wanted, None)
        for at, seen in enumerate(self.each()):
            if following is None:
                return
            if at == following:
                following = next(wanted, None)
                yield seen


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return told.encode(errors="replace").decode()  # half a surrogate pair, which JSON can spell, is in no file of texts
