"""Commits over HTTP: how each file is to be uploaded, then the commit itself, one JSON object a line."""

from __future__ import annotations

import base64
import binascii
import re
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub import ignored, pulls
from tamis.localhub.auth import User
from tamis.localhub.changes import Change, DeleteFile, DeleteFolder, Put
from tamis.localhub.commits import FileEntry
from tamis.localhub.errors import bad_request
from tamis.localhub.file_kinds import LARGEST_REGULAR, is_lfs
from tamis.localhub.hub import pushable_repo, revision_of
from tamis.localhub.names import check_path
from tamis.localhub.repo import Repo
from tamis.localhub.routing import absolute, field, json_route, needed, parse_json, spool_body

_SHA256 = re.compile(r"[0-9a-f]{64}")
# A line is one small file in base64, and some words around it.
_LONGEST_LINE = 2 * LARGEST_REGULAR


def _creates_pull_request(request: Request) -> bool:
    return request.query_params.get("create_pr", "").lower() in ("1", "true")


def preupload(request: Request, body: dict) -> Response:
    """LFS or not, for each file; and what is there already, so that clients leave unchanged files out."""
    opens = _creates_pull_request(request)
    repo, _ = pushable_repo(request, request.path_params["rev"], opens_pull_request=opens)
    commit = revision_of(request, repo)
    ignore = field(body, "gitIgnore", str)
    if ignore is None:
        ignore = (repo.read(commit, ".gitignore") or b"").decode("utf-8", "replace")
    is_ignored = ignored.matcher(ignore)
    answers = []
    for file in needed(body, "files", list):
        if not isinstance(file, dict):
            raise bad_request("files must be a list of objects")
        path, size = check_path(needed(file, "path", str)), needed(file, "size", int)
        sample = _decode(field(file, "sample", str) or "")
        present = commit.files.get(path)
        answer = {
            "path": path,
            "uploadMode": "lfs" if is_lfs(path, size, sample) else "regular",
            "shouldIgnore": is_ignored(path),
        }
        if present:
            answer["oid"] = present.object
        answers.append(answer)
    return JSONResponse({"files": answers, "commitOid": commit.oid})


async def commit(request: Request) -> Response:
    # Refused before the body is read: it may be large.
    opens = _creates_pull_request(request)
    repo, user = await run_in_threadpool(pushable_repo, request, request.path_params["rev"], opens_pull_request=opens)
    body = await spool_body(request, repo.folder)
    try:
        return await run_in_threadpool(_commit, request, repo, user, body)
    finally:
        body.close()


def _commit(request: Request, repo: Repo, user: User, body: IO[bytes]) -> Response:
    revision, opens = request.path_params["rev"], _creates_pull_request(request)
    header, changes = _read_changes(body, repo)
    title = needed(header, "summary", str)
    message, parent = field(header, "description", str) or "", field(header, "parentCommit", str)
    if opens:
        number, made = pulls.open_with_changes(
            repo, revision, changes, author=user.name, title=title, message=message, parent=parent
        )
    else:
        made = repo.add_commit(revision, changes, author=user.name, title=title, message=message, parent=parent)
    page = absolute(request, repo.name.page)
    answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{page}/commit/{made.oid}", "hookOutput": ""}
    if opens:
        answer["pullRequestUrl"] = f"{page}/discussions/{number}"
    return JSONResponse(answer)


def _read_changes(body: IO[bytes], repo: Repo) -> tuple[dict, list[Change]]:
    """Header and changes of a commit; contents are stored on the way, unreachable until the commit names them."""
    header: dict | None = None
    changes: list[Change] = []
    while line := body.readline(_LONGEST_LINE):
        if len(line) >= _LONGEST_LINE:
            raise bad_request("A file in this commit is too large to be sent without LFS")
        if not line.strip():
            continue
        record = parse_json(line)
        key, value = needed(record, "key", str), needed(record, "value", dict)
        match key:
            case "header":
                header = value
            case "file":
                changes.append(_put_small(repo, value))
            case "lfsFile":
                changes.append(_put_lfs(repo, value))
            case "deletedFile":
                changes.append(DeleteFile(needed(value, "path", str)))
            case "deletedFolder":
                changes.append(DeleteFolder(needed(value, "path", str)))
            case _:
                raise bad_request(f"Unknown operation {key!r} in a commit")
    if header is None:
        raise bad_request("The commit has no header")
    return header, changes


def _put_small(repo: Repo, value: dict) -> Put:
    path, content = check_path(needed(value, "path", str)), needed(value, "content", str)
    encoding = field(value, "encoding", str) or "utf-8"
    if encoding not in ("base64", "utf-8"):
        raise bad_request(f"Unknown encoding {encoding!r}")
    raw = _decode(content) if encoding == "base64" else content.encode("utf-8", "replace")
    return Put(path, FileEntry(repo.objects.add(raw), len(raw)))


def _put_lfs(repo: Repo, value: dict) -> Put:
    path, oid = check_path(needed(value, "path", str)), needed(value, "oid", str)
    # A copy inside the repository comes without a size.
    size = repo.objects.size(oid) if _SHA256.fullmatch(oid) else None
    if size is None or field(value, "size", int) not in (None, size):
        raise bad_request(f"The LFS content of {path!r} ({oid[:80]}) was not uploaded to this repository")
    return Put(path, FileEntry(oid, size))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("Invalid base64 content") from None


_REPO = "/api/{type:plural}/{ns:segment}/{name:segment}"
routes: list[Route] = [
    json_route(_REPO + "/preupload/{rev:segment}", preupload),
    Route(_REPO + "/commit/{rev:segment}", commit, methods=["POST"]),
]
