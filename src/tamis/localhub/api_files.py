"""Downloads: /resolve/ for clients. Others wrote what it serves, so no answer may run anything in a browser."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from tamis.localhub.commits import Commit
from tamis.localhub.errors import entry_not_found
from tamis.localhub.file_kinds import content_type
from tamis.localhub.hub import readable_repo, revision_of
from tamis.localhub.names import check_path
from tamis.localhub.repo import Repo
from tamis.localhub.routing import route

# A report may style itself and carry its pictures along; it runs no script, sends no form, loads nothing.
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def resolve(request: Request) -> Response:
    repo = readable_repo(request)
    return serve_file(request, repo, revision_of(request, repo), request.path_params["path"])


def serve_file(request: Request, repo: Repo, commit: Commit, path: str) -> Response:
    entry = commit.files.get(check_path(path))
    if entry is None:
        raise entry_not_found(path, commit.oid)
    etag = f'"{entry.object}"'
    kind = content_type(path)
    disposition = "attachment" if kind == "application/octet-stream" else "inline"
    headers = {
        "ETag": etag,
        "X-Repo-Commit": commit.oid,
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}",
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        # A branch moves on: what a browser kept is asked for again, by its ETag.
        "Cache-Control": "no-cache",
    }
    if entry.is_lfs:
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(entry.size)}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return FileResponse(repo.objects.path(entry.object), headers=headers, media_type=kind)


routes: list[Route] = [
    route("/{type:plural}/{ns:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}", resolve),
    route("/{ns:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}", resolve),
]
