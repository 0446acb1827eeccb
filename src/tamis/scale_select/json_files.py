"""JSON files of conversations, row by row: a list of rows, as LLaVA's are, or a row a line.

Not by the datasets library: it holds a list whole in memory, and LLaVA's own file, whose ids are numbers here and texts
there, is none to it (huggingface/datasets#7322).
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tamis.config import ConfigError
from tamis.named_files import NotUsable
from tamis.retries import patiently
from tamis.sources import Source

READ_AT_ONCE = 1 << 22  # characters
LONGEST_ROW = 1 << 24
NOT_JSON, NO_ROW = "a line that is not JSON", "an entry that is no row"
_GAP = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class JsonFiles:
    source: Source
    folder: Path | None  # of files on this machine; None: they are the source's, on the Hub
    names: tuple[str, ...]
    limit: int | None = None
    partly: bool = False  # from the Hub, only as far as the limit takes

    def rows(self) -> Iterator[dict[str, Any] | NotUsable]:
        """Every row of every file, or why it is none. A file that ends too early is an error, not fewer rows."""
        return itertools.islice(itertools.chain.from_iterable(map(self._rows_of, self.names)), self.limit)

    def _rows_of(self, name: str) -> Iterator[dict[str, Any] | NotUsable]:
        with self._opened(name) as file:
            for row in rows_of(file, name):
                yield row if isinstance(row, dict | NotUsable) else NotUsable(NO_ROW)

    @contextmanager
    def _opened(self, name: str) -> Iterator[TextIO]:
        if self.partly and self.folder is None:
            from huggingface_hub import HfFileSystem

            address = f"datasets/{self.source.repo_id}@{self.source.revision}/{name}"
            try:
                content = patiently(lambda: HfFileSystem().open(address, "rb"), self.source.repo_id)
            except FileNotFoundError as error:
                raise self._no_file(name) from error
            with content, io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace") as file:
                yield file
            return
        with self._path(name).open(encoding="utf-8-sig", errors="replace") as file:
            yield file

    def _path(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        if self.folder is not None:
            return self.folder / name
        repo = self.source.repo_id
        where = {"repo_type": "dataset", "revision": self.source.revision}
        try:
            return Path(patiently(lambda: hf_hub_download(repo, name, **where), repo))
        except EntryNotFoundError as error:
            raise self._no_file(name) from error

    def _no_file(self, name: str) -> ConfigError:
        return ConfigError(f"dataset {self.source.repo_id!r}: no file {name!r}")


def rows_of(file: TextIO, name: str) -> Iterator[Any]:
    """The values of a list, or of lines; a few million characters are in memory at a time."""
    text = ""
    while not text.strip():
        more = file.read(READ_AT_ONCE)
        if not more:
            return
        text = more
    text = text.lstrip()
    yield from _of_list(text, file, name) if text.startswith("[") else _of_lines(text, file, name)


def _of_list(text: str, file: TextIO, name: str) -> Iterator[Any]:
    decoder, at, number, ended = json.JSONDecoder(), 1, 0, False
    while True:
        at = _GAP.match(text, at).end()
        value, end = None, None
        if at < len(text):
            if text[at] == "]":
                return
            try:
                value, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                if ended or isinstance(error, RecursionError):
                    raise ConfigError(_damaged(name, number)) from error
        if end is None or (end == len(text) and not ended):  # it may go on in what is not read yet
            more = file.read(READ_AT_ONCE)
            if (ended and not more and end is None) or len(text) - at > LONGEST_ROW:
                raise ConfigError(_damaged(name, number))
            text, at, ended = text[at:] + more, 0, not more
            continue
        yield value
        at, number = end, number + 1


def _of_lines(text: str, file: TextIO, name: str) -> Iterator[Any]:
    number = 0
    while True:
        more = file.read(READ_AT_ONCE)
        *lines, text = (text + more).split("\n") if more else [*text.split("\n"), ""]
        for line in lines:
            number += 1
            if line.strip():
                yield _of_line(line)
        if not more:
            return
        if len(text) > LONGEST_ROW:
            raise ConfigError(f"{name}: line {number + 1} is of more than {LONGEST_ROW} characters: no row")


def _of_line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return NotUsable(NOT_JSON)


def _damaged(name: str, number: int) -> str:
    return f"{name}: cut short or damaged after row {number}; fetch it again"
