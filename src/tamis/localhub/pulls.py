"""Discussions and pull requests: one JSON file each, the changes of a pull request under refs/pr/N."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from tamis.durable import write_json
from tamis.localhub.auth import User
from tamis.localhub.changes import Change, apply_changes, conflicting, merge
from tamis.localhub.commits import Commit, now
from tamis.localhub.errors import HubError, bad_request, conflict, forbidden
from tamis.localhub.repo import Repo, check_parent


def _file(repo: Repo, number: int) -> Path:
    return repo.folder / "discussions" / f"{number}.json"


def numbers(repo: Repo) -> list[int]:
    return sorted(int(path.stem) for path in (repo.folder / "discussions").glob("[0-9]*.json"))


def read(repo: Repo, number: int) -> dict:
    try:
        return json.loads(_file(repo, number).read_bytes())
    except FileNotFoundError:
        raise HubError(404, f"{repo.name.id} has no discussion {number}") from None


def _event(kind: str, author: str, **data: object) -> dict:
    return {"id": uuid.uuid4().hex, "type": kind, "author": {"name": author}, "createdAt": now(), "data": data}


def comment_event(author: str, text: str) -> dict:
    return _event("comment", author, edited=False, hidden=False, latest={"raw": text})


def _new(repo: Repo, *, title: str, author: str, description: str, base: Commit | None, target: str) -> dict:
    """Writes a discussion under the next number; the repository's lock is held by the caller."""
    number = max(numbers(repo), default=0) + 1
    if base is not None:
        # The ref comes first: a pull request that is listed can be read.
        repo.write_ref("pr", str(number), base.oid)
    discussion = {
        "num": number,
        "title": title,
        "author": author,
        "createdAt": now(),
        "status": "open",
        "isPullRequest": base is not None,
        "base": base.oid if base else None,
        "target": target,
        "mergeCommitId": None,
        "events": [comment_event(author, description)],
    }
    write_json(_file(repo, number), discussion)
    return discussion


def open_empty(repo: Repo, *, title: str, author: str, description: str, pull_request: bool) -> dict:
    """A discussion, or a pull request whose changes are pushed to refs/pr/N afterwards."""
    with repo.locked():
        base = repo.resolve("main") if pull_request else None
        return _new(repo, title=title, author=author, description=description, base=base, target="refs/heads/main")


def open_with_changes(
    repo: Repo, revision: str, changes: list[Change], *, author: str, title: str, message: str, parent: str | None
) -> tuple[int, Commit]:
    """Opens a pull request on a branch with its first commit: its number and that commit."""
    with repo.locked():
        kind, name = repo.writable_ref(revision)
        if kind != "heads":
            raise bad_request("A pull request is opened against a branch")
        base = repo.resolve(f"refs/heads/{name}")
        check_parent(base, parent)
        files = apply_changes(base.files, changes)
        commit = repo.write_commit(parent=base, author=author, title=title, message=message, files=files)
        opened = _new(repo, title=title, author=author, description=message, base=base, target=f"refs/heads/{name}")
        repo.write_ref("pr", str(opened["num"]), commit.oid)
    return opened["num"], commit


def check_may_push(repo: Repo, revision: str, user: User) -> None:
    """Pushing to a pull request is for its author and for those who could merge it, while it is open."""
    number = revision.removeprefix("refs/pr/")
    if not number.isdecimal() or len(number) > 9:
        raise bad_request(f"{revision!r} is no pull request")
    pull = read(repo, int(number))
    if pull["author"] != user.name and not user.owns(repo.name.namespace):
        raise forbidden(f"{revision} belongs to {pull['author']}")
    if pull["status"] != "open":
        raise conflict(f"{revision} is {pull['status']}")


def change(repo: Repo, number: int, event: dict, **changes: object) -> dict:
    """Adds an event to a discussion and updates it."""
    with repo.locked():
        discussion = read(repo, number)
        discussion = {**discussion, **changes, "events": [*discussion["events"], event]}
        write_json(_file(repo, number), discussion)
    return discussion


def comment(repo: Repo, number: int, author: str, text: str) -> dict:
    return change(repo, number, comment_event(author, text))


def set_status(repo: Repo, number: int, author: str, status: str) -> dict:
    if status not in ("open", "closed"):
        raise bad_request(f"Unknown status {status!r}")
    if read(repo, number)["status"] == "merged":
        raise conflict("This pull request is merged")
    return change(repo, number, _event("status-change", author, status=status), status=status)


def rename(repo: Repo, number: int, author: str, title: str) -> dict:
    before = read(repo, number)["title"]
    return change(repo, number, _event("title-change", author, **{"from": before, "to": title}), title=title)


def merge_into_target(repo: Repo, number: int, author: str) -> Commit:
    """Merges a pull request by one commit; 409 where both sides changed one file."""
    with repo.locked():
        pull = read(repo, number)
        if not pull["isPullRequest"] or pull["status"] != "open":
            raise conflict(f"Discussion {number} is no open pull request")
        base, ours, theirs = _sides(repo, pull)
        files = merge(base.files, ours.files, theirs.files)
        commit = repo.write_commit(
            parent=ours, author=author, title=f"{pull['title']} (#{number})", message="", files=files
        )
        repo.write_ref("heads", pull["target"].removeprefix("refs/heads/"), commit.oid)
        merged = {**pull, "status": "merged", "mergeCommitId": commit.oid}
        merged["events"] = [*pull["events"], _event("status-change", author, status="merged")]
        write_json(_file(repo, number), merged)
    return commit


def _sides(repo: Repo, pull: dict) -> tuple[Commit, Commit, Commit]:
    return repo.commit(pull["base"]), repo.resolve(pull["target"]), repo.resolve(f"refs/pr/{pull['num']}")


def conflicts(repo: Repo, pull: dict) -> list[str]:
    """Paths that keep an open pull request from being merged."""
    if not pull["isPullRequest"] or pull["status"] != "open":
        return []
    base, ours, theirs = _sides(repo, pull)
    return conflicting(base.files, ours.files, theirs.files)
