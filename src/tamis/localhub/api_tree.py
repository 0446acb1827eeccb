"""What a commit holds and where it came from: trees, paths, history."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub.commits import POINTER_SIZE, Commit, FileEntry
from tamis.localhub.errors import bad_request, entry_not_found
from tamis.localhub.hub import readable_repo, revision_of
from tamis.localhub.names import check_path
from tamis.localhub.repo import Repo
from tamis.localhub.routing import next_link, read_body, route

PAGE = 1000
# An expanded item costs the reading of a commit.
EXPANDED_PAGE = 100
COMMITS_PAGE = 50


def tree(request: Request) -> Response:
    repo = readable_repo(request)
    commit = revision_of(request, repo)
    folder = request.path_params.get("path", "").strip("/")
    recursive, expand = (request.query_params.get(key, "").lower() in ("true", "1") for key in ("recursive", "expand"))
    paths = children(commit, folder, recursive=recursive)
    page_size = EXPANDED_PAGE if expand else PAGE
    limit = request.query_params.get("limit", "")
    if limit.isdecimal() and 0 < len(limit) < 9:
        page_size = max(1, min(int(limit), page_size))
    # The cursor is the last path sent, so that pages hold together whatever their size.
    cursor = request.query_params.get("cursor")
    rest = [path for path in paths if cursor is None or path > cursor]
    page = rest[:page_size]
    headers = next_link(request, cursor=page[-1]) if len(rest) > page_size else None
    return JSONResponse([item(repo, commit, path, expand=expand) for path in page], headers=headers)


def children(commit: Commit, folder: str, *, recursive: bool) -> list[str]:
    """Files and folders under a folder; 404 EntryNotFound when there is no such folder."""
    if folder:
        check_path(folder)
    prefix = folder + "/" if folder else ""
    found: set[str] = set()
    for path in commit.files:
        if path.startswith(prefix):
            parts = path[len(prefix) :].split("/")
            depths = range(1, len(parts) + 1) if recursive else (1,)
            found.update(prefix + "/".join(parts[:depth]) for depth in depths)
    if not found and folder:
        if folder in commit.files:
            return [folder]
        raise entry_not_found(folder, commit.oid)
    return sorted(found)


def item(repo: Repo, commit: Commit, path: str, *, expand: bool) -> dict:
    entry = commit.files.get(path)
    if entry is None:
        inside = {name: file for name, file in commit.files.items() if name.startswith(path + "/")}
        described = {"type": "directory", "oid": _folder_oid(inside), "size": 0, "path": path}
        changed = {file.commit for file in inside.values()}
    else:
        described = {"type": "file", "oid": entry.blob_id, "size": entry.size, "path": path}
        if entry.is_lfs:
            described["lfs"] = {"oid": entry.object, "size": entry.size, "pointerSize": POINTER_SIZE}
        changed = {entry.commit}
    if expand:
        last = max((repo.commit(oid) for oid in changed), key=lambda candidate: candidate.date)
        described["lastCommit"] = {"id": last.oid, "title": last.title, "date": last.date}
        if entry is not None:
            described["securityFileStatus"] = None
    return described


def _folder_oid(inside: dict[str, FileEntry]) -> str:
    listing = "\n".join(f"{path}\t{entry.object}" for path, entry in sorted(inside.items()))
    return hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()


async def paths_info(request: Request) -> Response:
    """POST paths-info: form-encoded, unlike everything else; unknown paths are left out."""
    form = parse_qs((await read_body(request)).decode("utf-8", "replace"), max_num_fields=100_000)
    return await run_in_threadpool(_paths_info, request, form)


def _paths_info(request: Request, form: dict[str, list[str]]) -> Response:
    repo = readable_repo(request)
    commit = revision_of(request, repo)
    expand = form.get("expand", [""])[0].lower() in ("true", "1")
    paths = [path.rstrip("/") for path in form.get("paths", [])]
    folders = {path.rpartition("/")[0] for path in children(commit, "", recursive=True)}
    known = [path for path in paths if path in commit.files or path in folders and path]
    return JSONResponse([item(repo, commit, path, expand=expand) for path in known])


def commits(request: Request) -> Response:
    repo = readable_repo(request)
    history = list(repo.history(revision_of(request, repo)))
    number = request.query_params.get("p", "0")
    if not number.isdecimal() or len(number) > 9:
        raise bad_request(f"{number!r} is no page")
    start = int(number) * COMMITS_PAGE
    headers = {"X-Total-Count": str(len(history))}
    if start + COMMITS_PAGE < len(history):
        headers |= next_link(request, p=int(number) + 1)
    return JSONResponse(list(_described(history[start : start + COMMITS_PAGE])), headers=headers)


def _described(history: Iterable[Commit]) -> Iterable[dict]:
    for commit in history:
        yield {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.message,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }


_REPO = "/api/{type:plural}/{ns:segment}/{name:segment}"
routes: list[Route] = [
    route(_REPO + "/tree/{rev:segment}", tree),
    route(_REPO + "/tree/{rev:segment}/{path:rest}", tree),
    Route(_REPO + "/paths-info/{rev:segment}", paths_info, methods=["POST"]),
    route(_REPO + "/commits/{rev:segment}", commits),
]
