"""The repositories that the embedded world comes with, written once and again only when their content changes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from tamis.durable import locked
from tamis.localhub.changes import Change, DeleteFile, Put
from tamis.localhub.commits import FileEntry
from tamis.localhub.file_kinds import GITATTRIBUTES, is_lfs
from tamis.localhub.names import RepoName
from tamis.localhub.repo import MAIN, Repo
from tamis.localhub.store import Store


class Seed(Protocol):
    """A repository to write; `key` changes with its content and is cheap to tell."""

    repo_id: str
    repo_type: str
    key: str

    def build(self, folder: Path) -> None:
        """Writes the repository's files into an empty folder."""


def seed(store: Store, seeds: Iterable[Seed]) -> list[str]:
    """Brings each seed's repository up to date, one commit a repository; the ids of those that were written."""
    written = []
    for one in seeds:
        name = RepoName.parse(one.repo_type, one.repo_id)
        if _is_current(store, name, one.key):
            continue
        # Two runs that start together build it once.
        with locked(store.folder / "locks" / "seeding"):
            if not _is_current(store, name, one.key):
                _write(store, name, one)
                written.append(one.repo_id)
    return written


def _is_current(store: Store, name: RepoName, key: str) -> bool:
    repo = store.find(name)
    return repo is not None and repo.settings.get("seedKey") == key


def _write(store: Store, name: RepoName, one: Seed) -> None:
    with tempfile.TemporaryDirectory(dir=store.folder / "tmp") as folder:
        one.build(Path(folder))
        repo = store.find(name) or store.create(name, author=name.namespace)
        _replace_by(repo, Path(folder), author=name.namespace)
    # Last: whoever dies before this seeds again.
    with repo.locked():
        repo.change_settings(seedKey=one.key)


def _replace_by(repo: Repo, folder: Path, *, author: str) -> None:
    """Commits a whole folder as the new content of main."""
    changes: list[Change] = []
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, path in paths.items():
        with path.open("rb") as file:
            sample = file.read(512)
        if is_lfs(name, path.stat().st_size, sample):
            entry = FileEntry(*repo.objects.add_file(path))
        else:
            entry = FileEntry(repo.objects.add(path.read_bytes()), path.stat().st_size)
        changes.append(Put(name, entry))
    if ".gitattributes" not in paths:
        changes.append(Put(".gitattributes", FileEntry(repo.objects.add(GITATTRIBUTES), len(GITATTRIBUTES))))
        paths[".gitattributes"] = folder
    stale = [DeleteFile(path) for path in repo.resolve(MAIN).files if path not in paths]
    repo.add_commit(MAIN, [*stale, *changes], author=author, title="Seed")
