"""Folders of pictures with files of rows or labels beside them: their lines, and which state of which was read."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tamis.config import ConfigError
from tamis.images import allow_folder
from tamis.sources import Source

LONGEST_LINE = 10_000  # bytes; real ones have sixty
_FRONT_MATTER = re.compile(r"\A---\n.*?^license:[ \t]*([\w.-]+)[ \t]*$.*?^---$", re.DOTALL | re.MULTILINE)
_COMMONS = re.compile(r"\bCC[ -](BY(?:-NC)?(?:-SA|-ND)?)[ -](\d\.\d)\b", re.IGNORECASE)


def folder_of(path: str) -> Path:
    if not Path(path).is_dir():
        raise ConfigError(f"{path!r} is no folder of this machine; expected that in which the archives were unpacked")
    return Path(path).resolve()


def first_there(folder: Path, names: Sequence[str]) -> Path:
    """The first of these files or folders that there is."""
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise ConfigError(f"{folder.name!r}: no {', nor '.join(names)}")


def lines(path: Path, limit: int | None = None) -> Iterator[str]:
    """The lines that are not blank. What is no UTF-8 in them becomes U+FFFD."""
    return itertools.islice(_lines(path), limit)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number in itertools.count(1):
            line = file.readline(LONGEST_LINE)
            if not line:
                return
            if len(line) == LONGEST_LINE:
                raise ConfigError(f"{path.name}: line {number} is of {LONGEST_LINE} bytes or more: no label file")
            if text := line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").strip():
                yield text


def source_of(folder: Path, labels: Sequence[Path], images: Sequence[Path]) -> Source:
    """The folder as a source, its pictures from now on to be named by rows.

    Not sources.pin(), which looks at every file: here they are a quarter of a million. The state is that of the label
    files and of when files came to or left the folders of pictures.
    """
    digest = hashlib.sha256()
    for path in labels:
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    for path in images:
        allow_folder(path)
        digest.update(f"{path.name}\0{path.stat().st_mtime_ns}\0".encode())
    return Source(folder.name, "dataset", digest.hexdigest()[:40], licence_of(folder), local=True)


def licence_of(folder: Path) -> str | None:
    """What its README or LICENSE states, all of it; None where they state nothing that is known by name."""
    files = [file for kind in ("LICENSE*", "README*") for file in sorted(folder.glob(kind)) if file.is_file()]
    found = set()
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")[:100_000]
        if header := _FRONT_MATTER.search(text):
            found.add(header[1].lower())
        found.update(f"cc-{kind}-{version}".lower() for kind, version in _COMMONS.findall(text))
    return ", ".join(sorted(found)) or None
