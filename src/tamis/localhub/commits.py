"""A commit: an immutable JSON file that names every file of the repository at that moment."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from tamis.durable import write_file

# What an LFS pointer file of git would take; clients only pass the number on.
POINTER_SIZE = 134


@dataclass(frozen=True)
class FileEntry:
    """One file of a commit; `object` names its content, `commit` the commit that last changed it."""

    object: str
    size: int
    commit: str = ""

    @property
    def is_lfs(self) -> bool:
        return len(self.object) == 64

    @property
    def blob_id(self) -> str:
        """The git hash that clients expect: of the content, or of the pointer where the content is in LFS."""
        if not self.is_lfs:
            return self.object
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.object}\nsize {self.size}\n".encode()
        return hashlib.sha1(b"blob %d\x00" % len(pointer) + pointer, usedforsecurity=False).hexdigest()

    def same_content(self, other: FileEntry | None) -> bool:
        return other is not None and other.object == self.object


Files = dict[str, FileEntry]


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    author: str
    title: str
    message: str
    date: str
    files: Files


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_commit(folder: Path, *, parent: str | None, author: str, title: str, message: str, files: Files) -> Commit:
    """Writes a commit durably under a fresh id; entries without a commit are stamped with it."""
    body = {
        "parent": parent,
        "author": author,
        "title": title,
        "message": message,
        "date": now(),
        "files": {path: asdict(entry) for path, entry in sorted(files.items())},
    }
    # The nonce keeps two equal commits apart, in one repository or in two.
    seed = json.dumps(body, sort_keys=True) + uuid.uuid4().hex
    oid = hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
    write_file(folder / oid, json.dumps(body, separators=(",", ":")).encode())
    return read_commit(folder, oid)


@lru_cache(maxsize=256)
def read_commit(folder: Path, oid: str) -> Commit:
    """Reads a commit; it can be kept because ids are never reused and commits never change."""
    body = json.loads((folder / oid).read_bytes())
    files = {path: FileEntry(**entry) for path, entry in body.pop("files").items()}
    stamped = {path: entry if entry.commit else replace(entry, commit=oid) for path, entry in files.items()}
    return Commit(oid=oid, files=stamped, **body)
