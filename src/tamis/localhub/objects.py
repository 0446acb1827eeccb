"""The contents of one repository's files, each stored once under its hash.

A small file is named as git names a blob (40 hex digits), an LFS file by its sha256 (64). So a name never depends
on what a client calls its file, and what is stored is never changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from tamis.durable import sync_folder
from tamis.localhub.errors import HubError, bad_request

# Left free on the disk, so that the small writes which make a commit durable still succeed.
RESERVED_BYTES = 16 << 20


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\x00" % len(content) + content, usedforsecurity=False).hexdigest()


class Objects:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, oid: str) -> Path:
        return self.folder / oid

    def size(self, oid: str) -> int | None:
        """Bytes of an object, None when it is not here."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, oid: str) -> bytes:
        return self.path(oid).read_bytes()

    def free_bytes(self) -> int:
        return max(0, shutil.disk_usage(self.folder).free - RESERVED_BYTES)

    def add(self, content: bytes) -> str:
        """Stores a small file; the caller calls `sync` once before it makes the object reachable."""
        oid = git_oid(content)
        if self.size(oid) != len(content):
            with self.incoming(oid, len(content)) as incoming:
                incoming.write(content)
                incoming.keep()
        return oid

    def add_file(self, source: Path) -> tuple[str, int]:
        """Stores a file of any size as an LFS object: its sha256 and size."""
        digest = hashlib.sha256()
        with source.open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
        oid, size = digest.hexdigest(), source.stat().st_size
        if self.size(oid) != size:
            with self.incoming(oid, size) as incoming, source.open("rb") as file:
                for chunk in iter(lambda: file.read(1 << 20), b""):
                    incoming.write(chunk)
                incoming.keep()
        return oid, size

    def incoming(self, oid: str, size: int) -> Incoming:
        return Incoming(self, oid, size)

    def sync(self) -> None:
        sync_folder(self.folder)


class Incoming:
    """An object on its way to disk; nothing is left of it unless `keep` finds the promised size and hash."""

    def __init__(self, objects: Objects, oid: str, size: int) -> None:
        if size > objects.free_bytes():
            raise no_space(size, objects.free_bytes())
        self.objects = objects
        self.oid = oid
        self.size = size
        self.written = 0
        if len(oid) == 64:
            self._digest = hashlib.sha256()
        else:
            self._digest = hashlib.sha1(b"blob %d\x00" % size, usedforsecurity=False)
        self._path = objects.folder / f".{uuid.uuid4().hex}.tmp"
        self._file = self._path.open("xb")

    def write(self, chunk: bytes) -> None:
        self.written += len(chunk)
        if self.written > self.size:
            raise bad_request(f"More bytes than the {self.size} announced for {self.oid}")
        self._digest.update(chunk)
        self._file.write(chunk)

    def keep(self) -> None:
        if self.written != self.size:
            raise bad_request(f"{self.written} bytes arrived of the {self.size} announced for {self.oid}")
        if self._digest.hexdigest() != self.oid:
            raise bad_request(f"The bytes that arrived do not have the announced hash {self.oid}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.replace(self.objects.path(self.oid))

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def no_space(needed: int | None, free: int) -> HubError:
    wanted = f"{needed:,} bytes do not fit" if needed is not None else "It does not fit"
    return HubError(507, f"No space left on the Hub's disk: {wanted}, {free:,} bytes are free. Nothing was stored.")
