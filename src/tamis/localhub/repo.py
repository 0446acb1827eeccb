"""One repository on disk.

    repo.json            settings: visibility, creation time, seed key
    refs/heads|tags|pr/  one file a branch, tag or pull request, holding a commit id
    commits/             one immutable file a commit
    objects/             file contents under their hashes
    discussions/         one file a discussion or pull request

A commit is visible from the moment its id replaces the one in a ref file, which is one rename; everything that the
commit names is on disk before that. Whoever dies earlier leaves the repository as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tamis.durable import locked, sync_folder, write_file, write_json
from tamis.localhub.changes import Change, apply_changes
from tamis.localhub.commits import Commit, Files, read_commit, write_commit
from tamis.localhub.errors import HubError, bad_request, conflict, revision_not_found
from tamis.localhub.names import RepoName, check_ref, is_commit, quote_ref, unquote_ref
from tamis.localhub.objects import Objects

MAIN = "main"
REF_KINDS = ("heads", "tags", "pr")


class Repo:
    def __init__(self, folder: Path, name: RepoName, lock: Path) -> None:
        self.folder = folder
        self.name = name
        self.objects = Objects(folder / "objects")
        self._lock = lock

    def locked(self) -> AbstractContextManager[None]:
        """Held by whoever changes this repository, in any thread or process."""
        return locked(self._lock)

    # Settings

    @property
    def settings(self) -> dict:
        return json.loads((self.folder / "repo.json").read_bytes())

    def change_settings(self, **changes: object) -> None:
        write_json(self.folder / "repo.json", {**self.settings, **changes})

    @property
    def private(self) -> bool:
        return self.settings["private"]

    # Refs

    def _ref_path(self, kind: str, name: str) -> Path:
        return self.folder / "refs" / kind / quote_ref(name)

    def refs(self, kind: str) -> dict[str, str]:
        """Commit ids by name; `kind` is heads, tags or pr."""
        folder = self.folder / "refs" / kind
        found = {unquote_ref(file.name): file for file in folder.iterdir() if not file.name.startswith(".")}
        return {name: file.read_text() for name, file in sorted(found.items())}

    def _read_ref(self, kind: str, name: str) -> str | None:
        path = self._ref_path(kind, name)
        if len(path.name) > 255:  # longer than any file name, so nobody has created it
            return None
        try:
            return path.read_text()
        except FileNotFoundError:
            return None

    def write_ref(self, kind: str, name: str, commit: str) -> None:
        write_file(self._ref_path(kind, name), commit.encode())

    def create_ref(self, kind: str, name: str, commit: str) -> None:
        check_ref(name)
        with self.locked():
            if self._read_ref(kind, name) is not None:
                raise conflict(f"Reference already exists: refs/{kind}/{name}")
            self.write_ref(kind, name, commit)

    def delete_ref(self, kind: str, name: str) -> None:
        if kind == "heads" and name == MAIN:
            raise HubError(403, "The branch main cannot be deleted")
        with self.locked():
            if self._read_ref(kind, name) is None:
                raise revision_not_found(name)
            self._ref_path(kind, name).unlink()
            sync_folder(self._ref_path(kind, name).parent)

    def find_ref(self, revision: str) -> tuple[str, str] | None:
        """The (kind, name) that a revision speaks of; branches go before tags."""
        if revision.startswith("refs/"):
            _, _, rest = revision.partition("/")
            kind, _, name = rest.partition("/")
            candidates = [(kind, name)] if kind in REF_KINDS and name else []
        else:
            candidates = [("heads", revision), ("tags", revision)]
        for kind, name in candidates:
            if self._read_ref(kind, name) is not None:
                return kind, name
        return None

    # Reading

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, tag, ref or (shortened) commit id names; 404 RevisionNotFound otherwise."""
        ref = self.find_ref(revision)
        if ref is not None:
            return self.commit(self._read_ref(*ref) or "")
        if is_commit(revision):
            return self.commit(revision)
        if 7 <= len(revision) < 40 and all(letter in "0123456789abcdef" for letter in revision):
            matches = list((self.folder / "commits").glob(revision + "*"))
            if len(matches) == 1:
                return self.commit(matches[0].name)
        raise revision_not_found(revision)

    def commit(self, oid: str) -> Commit:
        try:
            return read_commit(self.folder / "commits", oid)
        except FileNotFoundError:
            raise revision_not_found(oid) from None

    def history(self, commit: Commit) -> Iterator[Commit]:
        """A commit and its ancestors, newest first."""
        current: Commit | None = commit
        while current is not None:
            yield current
            current = self.commit(current.parent) if current.parent else None

    def read(self, commit: Commit, path: str) -> bytes | None:
        entry = commit.files.get(path)
        return self.objects.read(entry.object) if entry else None

    # Writing

    def write_commit(self, *, parent: Commit | None, author: str, title: str, message: str, files: Files) -> Commit:
        """Makes a commit durable without pointing any ref at it; the repository's lock is held by the caller."""
        self.objects.sync()
        return write_commit(
            self.folder / "commits",
            parent=parent.oid if parent else None,
            author=author,
            title=title,
            message=message,
            files=files,
        )

    def add_commit(
        self,
        revision: str,
        changes: list[Change],
        *,
        author: str,
        title: str,
        message: str = "",
        parent: str | None = None,
    ) -> Commit:
        """Commits onto a branch or an open pull request; `parent` refuses (412) when the branch has moved on."""
        with self.locked():
            kind, name = self.writable_ref(revision)
            head = self.commit(self._read_ref(kind, name) or "")
            check_parent(head, parent)
            files = apply_changes(head.files, changes)
            if files == head.files:
                return head
            commit = self.write_commit(parent=head, author=author, title=title, message=message, files=files)
            self.write_ref(kind, name, commit.oid)
            return commit

    def writable_ref(self, revision: str) -> tuple[str, str]:
        ref = self.find_ref(revision)
        if ref is None:
            raise revision_not_found(revision)
        if ref[0] == "tags":
            raise bad_request(f"{revision!r} is a tag: commits go to a branch or a pull request")
        return ref

    def squash(self, branch: str, *, author: str, message: str) -> Commit:
        """Replaces a branch's history by one commit of the same files."""
        with self.locked():
            head = self._read_ref("heads", branch)
            if head is None:
                raise revision_not_found(branch)
            files = {path: type(entry)(entry.object, entry.size) for path, entry in self.commit(head).files.items()}
            commit = self.write_commit(parent=None, author=author, title=message, message="", files=files)
            self.write_ref("heads", branch, commit.oid)
            return commit


def check_parent(head: Commit, parent: str | None) -> None:
    if parent is not None and not (len(parent) >= 5 and head.oid.startswith(parent)):
        raise HubError(
            412,
            "A commit has happened since. Please refresh and try again. "
            f"(The parent commit {parent} is not the head, {head.oid}.)",
        )
