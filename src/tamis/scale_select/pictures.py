"""Where a row's picture is: in the dataset, as bytes or a file of its own, or named by path in a folder beside it.

Nothing is opened here: what a file holds is seen by whoever scores it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tamis.images import file_of
from tamis.named_files import LEAVES, MISSING, NotUsable, refuse_leaving

NO_NAME = "its picture's name is no text"
NO_FOLDER = "its picture is only named, and no image_folder is given"
STORED = object()  # the picture is in the dataset


def marks_of(column: pa.ChunkedArray) -> list[Any]:
    """For each cell STORED, a name, None, or a list of these; bytes of pictures are not touched."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lists = column.combine_chunks()
        inside = marks_of(pa.chunked_array([lists.flatten()]))
        counts, start, found = pc.list_value_length(lists).to_pylist(), 0, []
        for count in counts:
            found.append(None if count is None else inside[start : start + count])
            start += count or 0
        return found
    if pa.types.is_struct(kind):
        stored = pc.is_valid(pc.struct_field(column, "bytes")).to_pylist()
        return [
            STORED if here else _own_file(path)
            for here, path in zip(stored, pc.struct_field(column, "path").to_pylist(), strict=True)
        ]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [STORED if here else None for here in pc.is_valid(column).to_pylist()]
    return column.to_pylist()


def _own_file(path: str | None) -> Any:
    """A dataset that is an image folder names its files in full; another path is a name like any."""
    return STORED if path is not None and file_of(path) is not None else path


def marks_in(cell: Any) -> list[Any]:
    """The pictures of one row: what stands where none is, null or an empty text, is none."""
    several = cell if isinstance(cell, list) else [cell]
    found = [one for one in several if one is not None and one != ""]
    if not all(one is STORED or isinstance(one, str) for one in found):
        raise NotUsable(NO_NAME)
    return found


@dataclass(frozen=True)
class Folder:
    """The folder that names are relative to; folders inside it are looked up once."""

    path: Path | None
    _inside: dict[str, bool] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """As named_files.file_inside(), with fewer questions to the disk: half a million names share a few folders."""
        if self.path is None:
            raise NotUsable(NO_FOLDER)
        refuse_leaving(name)
        file = self.path / name
        try:
            told = file.lstat()
            if stat.S_ISLNK(told.st_mode):
                if not file.resolve().is_relative_to(self.path):
                    raise NotUsable(LEAVES)
                told = file.stat()
        except (OSError, RuntimeError, ValueError) as error:  # ValueError: a name that no file system can hold
            raise NotUsable(MISSING) from error
        parent = name.rpartition("/")[0]
        if parent not in self._inside:
            self._inside[parent] = file.parent.resolve().is_relative_to(self.path)
        if not self._inside[parent]:
            raise NotUsable(LEAVES)
        if not stat.S_ISREG(told.st_mode) or not told.st_size:
            raise NotUsable(MISSING)
        return file
