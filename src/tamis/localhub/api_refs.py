"""Branches, tags and the rewriting of a branch's history."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub.errors import revision_not_found
from tamis.localhub.hub import readable_repo, revision_of, writable_repo
from tamis.localhub.repo import MAIN
from tamis.localhub.routing import field, json_route, needed, route


def list_refs(request: Request) -> Response:
    repo = readable_repo(request)

    def listed(kind: str, prefix: str = "") -> list[dict]:
        return [
            {"name": prefix + name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}
            for name, commit in repo.refs(kind).items()
        ]

    answer = {"branches": listed("heads"), "converts": [], "tags": listed("tags")}
    if request.query_params.get("include_prs", "").lower() in ("1", "true"):
        answer["pullRequests"] = listed("pr", "refs/pr/")
    return JSONResponse(answer)


def create_branch(request: Request, body: dict) -> Response:
    repo, _ = writable_repo(request)
    start = repo.resolve(field(body, "startingPoint", str) or MAIN)
    repo.create_ref("heads", request.path_params["branch"], start.oid)
    return JSONResponse({})


def delete_branch(request: Request) -> Response:
    repo, _ = writable_repo(request)
    repo.delete_ref("heads", request.path_params["branch"])
    return JSONResponse({})


def create_tag(request: Request, body: dict) -> Response:
    repo, _ = writable_repo(request)
    repo.create_ref("tags", needed(body, "tag", str), revision_of(request, repo).oid)
    return JSONResponse({})


def delete_tag(request: Request) -> Response:
    repo, _ = writable_repo(request)
    repo.delete_ref("tags", request.path_params["tag"])
    return JSONResponse({})


def squash(request: Request, body: dict) -> Response:
    repo, user = writable_repo(request)
    branch = request.path_params["branch"]
    if repo.find_ref(branch) != ("heads", branch):
        raise revision_not_found(branch)
    message = field(body, "message", str) or f"Super-squash branch '{branch}'"
    commit = repo.squash(branch, author=user.name, message=message)
    return JSONResponse({"commitOid": commit.oid})


_REPO = "/api/{type:plural}/{ns:segment}/{name:segment}"
routes: list[Route] = [
    route(_REPO + "/refs", list_refs),
    json_route(_REPO + "/branch/{branch:segment}", create_branch),
    route(_REPO + "/branch/{branch:segment}", delete_branch, "DELETE"),
    json_route(_REPO + "/tag/{rev:segment}", create_tag),
    route(_REPO + "/tag/{tag:segment}", delete_tag, "DELETE"),
    json_route(_REPO + "/super-squash/{branch:segment}", squash),
]
