"""Files that a table names, beside it in a folder: only those inside the folder are opened."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

LONGEST_PATH = 200  # signs; real ones have fifteen to fifty
LEAVES, MISSING = "its image's path leaves the folder", "its image file is missing"


class NotUsable(Exception):
    """A row that is left out; the message is the reason it is counted under."""


def file_inside(folder: Path, path: str) -> Path:
    """The file of a path that a table states, if it lies in the folder that the path is relative to."""
    refuse_leaving(path)
    file = folder / path
    try:
        if not file.resolve().is_relative_to(folder.resolve()):  # a link may lead anywhere
            raise NotUsable(LEAVES)
        if not file.is_file() or not file.stat().st_size:
            raise NotUsable(MISSING)
    except (OSError, RuntimeError) as error:  # a name too long for the file system, a loop of links
        raise NotUsable(MISSING) from error
    return file


def refuse_leaving(path: str) -> None:
    """By what it says, whether there is such a file or not."""
    inside = PurePosixPath(path)
    if not path or inside.is_absolute() or ".." in inside.parts or any(sign in path for sign in "\0\\:"):
        raise NotUsable(LEAVES)
    if len(path) > LONGEST_PATH:
        raise NotUsable(MISSING)
