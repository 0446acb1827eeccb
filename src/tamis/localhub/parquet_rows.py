"""Rows of parquet files, a page at a time: only the sorted column is read whole, pictures where they are looked at."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tamis.localhub.errors import HubError, bad_request

_MOST_SORTED_ROWS = 5_000_000
_PICTURE_BATCH = 16
_PICTURE_CACHE_BYTES = 64 << 20


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    is_picture: bool
    is_sortable: bool
    is_number: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Position:
    """Where a row is: in which file (by number) and at which row of it."""

    file: int
    row: int


class ParquetRows:
    """The rows of several files with one schema, in the order of the files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._files = [_open(path) for path in self.paths]
        counts = [file.metadata.num_rows for file in self._files]
        self._starts = np.cumsum([0, *counts])
        if min(counts) < 0:
            raise HubError(415, "A parquet file that announces fewer than no rows")
        with _untrusted_file():
            self.columns = _columns(self._files[0].schema_arrow)
        if any(file.schema_arrow.names != self._files[0].schema_arrow.names for file in self._files):
            raise HubError(415, "The files of this split have different columns")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise bad_request(f"There is no column {name!r}")

    def order(self, column: str, *, descending: bool) -> np.ndarray:
        """Row numbers sorted by a column: stable, with nulls (and before them NaN) last either way."""
        if not self.column(column).is_sortable:
            raise bad_request(f"The column {column!r} cannot be sorted by")
        if len(self) > _MOST_SORTED_ROWS:
            raise bad_request(f"More than {_MOST_SORTED_ROWS:,} rows are not sorted")
        return _order(self.paths, column, descending)

    def page(self, numbers: Sequence[int]) -> list[dict]:
        """The rows of these numbers; a picture's cell holds its Position, or None where there is none."""
        plain = [column.name for column in self.columns if not column.is_picture]
        # Reading the path alone tells which pictures are null without touching their bytes.
        leaves = [f"{column.name}.path" for column in self.columns if column.is_picture]
        positions = [self._position(number) for number in numbers]
        rows: dict[Position, dict] = {}
        for (file, group), wanted in self._by_group(positions).items():
            start = _group_start(self._files[file], group)
            with _untrusted_file():
                table = self._files[file].read_row_group(group, columns=plain + leaves)
                read = table.take(pa.array([position.row - start for position in wanted])).to_pylist()
            for position, values in zip(wanted, read, strict=True):
                for column in self.columns:
                    if column.is_picture and values[column.name] is not None:
                        values[column.name] = position
                rows[position] = values
        return [rows[position] for position in positions]

    def _position(self, number: int) -> Position:
        file = int(np.searchsorted(self._starts, number, side="right")) - 1
        return Position(file, int(number - self._starts[file]))

    def _by_group(self, positions: Sequence[Position]) -> dict[tuple[int, int], list[Position]]:
        groups: dict[tuple[int, int], list[Position]] = {}
        for position in positions:
            groups.setdefault((position.file, _group_of(self._files[position.file], position.row)), []).append(position)
        return groups


@contextmanager
def _untrusted_file() -> Iterator[None]:
    """Says which faults are the file's and not the server's."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise HubError(415, f"This parquet file cannot be read: {error}") from error


@lru_cache(maxsize=32)
def _metadata(path: Path) -> pq.FileMetaData:
    with _untrusted_file():
        return pq.read_metadata(path)


def _open(path: Path) -> pq.ParquetFile:
    # Streamed in small buffers: a row group of pictures can be larger than this process should be.
    with _untrusted_file():
        return pq.ParquetFile(path, metadata=_metadata(path), memory_map=True, pre_buffer=False, buffer_size=1 << 18)


def _group_of(file: pq.ParquetFile, row: int) -> int:
    for group in range(file.metadata.num_row_groups):
        row -= file.metadata.row_group(group).num_rows
        if row < 0:
            return group
    raise bad_request("There is no such row")


def _group_start(file: pq.ParquetFile, group: int) -> int:
    return sum(file.metadata.row_group(before).num_rows for before in range(group))


def _columns(schema: pa.Schema) -> tuple[Column, ...]:
    features = _features(schema)
    return tuple(_column(item, features.get(item.name)) for item in schema)


def _features(schema: pa.Schema) -> dict:
    """What `datasets` noted about the columns, {} where it noted nothing."""
    try:
        noted = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = noted["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _column(item: pa.Field, feature: object) -> Column:
    kind = item.type
    feature = feature if isinstance(feature, dict) else {}
    shape = {inner.name for inner in kind} if pa.types.is_struct(kind) else set()
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind)
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    is_picture = shape == {"bytes", "path"} and feature.get("_type", "Image") == "Image"
    shown = "image" if is_picture else "class" if names else str(kind)
    labels = tuple(map(str, names)) if isinstance(names, list) else ()
    is_sortable = number or text or pa.types.is_temporal(kind)
    return Column(item.name, shown, is_picture, is_sortable, number and not labels, labels)


@lru_cache(maxsize=8)
def _order(paths: tuple[Path, ...], column: str, descending: bool) -> np.ndarray:
    with _untrusted_file():
        read = [chunk for path in paths for chunk in _open(path).read(columns=[column])[column].chunks]
    values = pa.chunked_array(read or [pa.array([])])
    order = "descending" if descending else "ascending"
    indices = pc.sort_indices(pa.table({"value": values}), sort_keys=[("value", order, "at_end")])
    return indices.to_numpy().astype(np.int32)


class _PictureCache:
    """Recently read batches of pictures, bounded in bytes."""

    def __init__(self) -> None:
        self._batches: OrderedDict[tuple, pa.Array] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    def get(self, path: Path, column: str, row: int) -> dict | None:
        with self._lock:
            file = _open(path)
            group = _group_of(file, row)
            inside = row - _group_start(file, group)
            key = (path, group, column, inside // _PICTURE_BATCH)
            if key not in self._batches:
                self._remember(key, self._read(file, group, column, inside // _PICTURE_BATCH))
            self._batches.move_to_end(key)
            return self._batches[key][inside % _PICTURE_BATCH].as_py()

    @staticmethod
    def _read(file: pq.ParquetFile, group: int, column: str, number: int) -> pa.Array:
        with _untrusted_file():
            batches = file.iter_batches(batch_size=_PICTURE_BATCH, row_groups=[group], columns=[column])
            for index, batch in enumerate(batches):
                if index == number:
                    return batch.column(0)
        raise bad_request("There is no such row")

    def _remember(self, key: tuple, batch: pa.Array) -> None:
        self._batches[key] = batch
        self._bytes += batch.nbytes
        while self._bytes > _PICTURE_CACHE_BYTES and len(self._batches) > 1:
            _, dropped = self._batches.popitem(last=False)
            self._bytes -= dropped.nbytes


_pictures = _PictureCache()


def picture_bytes(path: Path, column: str, row: int) -> bytes | None:
    """The bytes of one picture, None where the cell is null or holds none."""
    if row < 0:
        raise bad_request("There is no such row")
    schema_columns = {one.name: one for one in _columns(_open(path).schema_arrow)}
    if column not in schema_columns or not schema_columns[column].is_picture:
        raise bad_request(f"{column!r} is no column of pictures")
    value = _pictures.get(path, column, row)
    return value["bytes"] if value else None
