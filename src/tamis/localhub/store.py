"""All repositories under one folder: create, find, list, move, delete."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tamis.durable import locked, sync_folder, sync_tree, write_json
from tamis.localhub.commits import Commit, FileEntry, now
from tamis.localhub.errors import HubError, conflict, repo_not_found
from tamis.localhub.file_kinds import GITATTRIBUTES
from tamis.localhub.names import REPO_TYPES, RepoName
from tamis.localhub.repo import MAIN, REF_KINDS, Repo

_ABANDONED_SECONDS = 3600


class Store:
    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in ("repos", "locks", "tmp"):
            (self.folder / part).mkdir(mode=0o700, exist_ok=True)
        for repo_type in REPO_TYPES:
            (self.folder / "repos" / repo_type).mkdir(exist_ok=True)

    def _folder(self, name: RepoName) -> Path:
        return self.folder / "repos" / name.type / name.namespace / name.name

    def _repo(self, name: RepoName) -> Repo:
        return Repo(self._folder(name), name, self._lock(name))

    def _lock(self, name: RepoName) -> Path:
        # Outside the repository's folder: it must outlive a deletion and a new repository of that name.
        return self.folder / "locks" / f"{name.type}--{name.namespace}--{name.name}"

    def find(self, name: RepoName) -> Repo | None:
        repo = self._repo(name)
        return repo if repo.folder.is_dir() else None

    def repo(self, name: RepoName) -> Repo:
        repo = self.find(name)
        if repo is None:
            raise repo_not_found(name.id)
        return repo

    def repos(self, repo_type: str) -> Iterator[Repo]:
        for namespace in sorted((self.folder / "repos" / repo_type).iterdir()):
            for folder in sorted(namespace.iterdir()):
                yield self._repo(RepoName(repo_type, namespace.name, folder.name))

    def heads(self, repo_type: str) -> Iterator[tuple[Repo, Commit]]:
        """Every repository with the head of main; one that is deleted meanwhile is left out."""
        for repo in self.repos(repo_type):
            try:
                head = repo.resolve(MAIN)
            except (HubError, FileNotFoundError):
                if repo.folder.is_dir():
                    raise
                continue
            yield repo, head

    def create(self, name: RepoName, *, author: str, private: bool = False, **settings: object) -> Repo:
        """A new repository with the first commit that the Hub gives one; 409 where the name is taken."""
        with locked(self._lock(name)), self.scratch() as scratch:
            if self.find(name):
                raise conflict(f"You already created this {name.type} repo: {name.id}")
            draft = Repo(scratch, name, self._lock(name))
            for part in ("commits", "objects", "discussions", *(f"refs/{kind}" for kind in REF_KINDS)):
                (scratch / part).mkdir(parents=True)
            write_json(scratch / "repo.json", {"private": private, "createdAt": now(), **settings})
            attributes = draft.objects.add(GITATTRIBUTES)
            first = draft.write_commit(
                parent=None,
                author=author,
                title="initial commit",
                message="",
                files={".gitattributes": FileEntry(attributes, len(GITATTRIBUTES))},
            )
            draft.write_ref("heads", MAIN, first.oid)
            sync_tree(scratch)
            self._put_in_place(scratch, name)
        return self._repo(name)

    def _put_in_place(self, folder: Path, name: RepoName) -> None:
        target = self._folder(name)
        target.parent.mkdir(exist_ok=True)
        sync_folder(target.parent.parent)
        folder.rename(target)
        sync_folder(target.parent)

    def delete(self, name: RepoName) -> None:
        with locked(self._lock(name)), self.scratch() as scratch:
            # Gone in one rename; the bytes follow.
            self.repo(name).folder.rename(scratch / "deleted")
            sync_folder(self._folder(name).parent)

    def move(self, source: RepoName, target: RepoName) -> Repo:
        with ExitStack() as stack:
            for name in sorted({source, target}):
                stack.enter_context(locked(self._lock(name)))
            repo = self.repo(source)
            if self.find(target):
                raise conflict(f"The name {target.id} is taken")
            self._put_in_place(repo.folder, target)
            sync_folder(repo.folder.parent)
        return self._repo(target)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the store's own disk, so that renames out of it are atomic; removed at the end."""
        folder = self.folder / "tmp" / uuid.uuid4().hex
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_abandoned(self) -> None:
        """Clears what killed processes left half-written; called by a server that owns this folder."""
        oldest = time.time() - _ABANDONED_SECONDS
        unfinished = [*(self.folder / "tmp").iterdir(), *(self.folder / "repos").glob("*/*/*/objects/.*.tmp")]
        for path in unfinished:
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
