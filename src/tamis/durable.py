"""Writes that are on disk when they return, and that are seen whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable (a rename is not, until then)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replaces `path` by `content` in one step, durably."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def rename_durably(written: Path, target: Path) -> None:
    """Gives a finished file its name: its content is on the disk first, the name after it."""
    sync_file(written)
    written.replace(target)
    sync_folder(target.parent)


def write_json(path: Path, value: object, *, private: bool = False) -> None:
    write_file(path, json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode(), private=private)


def sync_tree(folder: Path) -> None:
    """Makes a freshly built folder durable with all it holds, before it is renamed into place."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync_file(Path(parent, name))
        sync_folder(Path(parent))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock between threads and processes; the kernel lets go of it when a process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
