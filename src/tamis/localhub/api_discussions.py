"""Discussions and pull requests over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub import pulls
from tamis.localhub.auth import User, check_write
from tamis.localhub.errors import bad_request, forbidden
from tamis.localhub.hub import proposable_repo, readable_repo
from tamis.localhub.repo import Repo
from tamis.localhub.routing import field, json_route, needed, route

PAGE = 50


def _summary(repo: Repo, discussion: dict) -> dict:
    shown = {key: discussion[key] for key in ("num", "title", "createdAt", "status", "isPullRequest")}
    return {
        **shown,
        "author": {"name": discussion["author"]},
        "repo": {"name": repo.name.id, "type": repo.name.type},
        "numComments": sum(event["type"] == "comment" for event in discussion["events"]),
    }


def _details(repo: Repo, discussion: dict) -> dict:
    details = {**_summary(repo, discussion), "events": discussion["events"]}
    if discussion["isPullRequest"]:
        details["changes"] = {"base": discussion["target"], "mergeCommitId": discussion["mergeCommitId"]}
        details["filesWithConflicts"] = pulls.conflicts(repo, discussion)
    return details


def list_discussions(request: Request) -> Response:
    repo, query = readable_repo(request), request.query_params
    found = [pulls.read(repo, number) for number in reversed(pulls.numbers(repo))]
    if query.get("type") in ("pull_request", "discussion"):
        found = [one for one in found if one["isPullRequest"] == (query["type"] == "pull_request")]
    if query.get("status") in ("open", "closed"):
        found = [one for one in found if (one["status"] in ("open", "draft")) == (query["status"] == "open")]
    if "author" in query:
        found = [one for one in found if one["author"] == query["author"]]
    page = query.get("p", "0")
    start = int(page) * PAGE if page.isdecimal() and len(page) < 9 else 0
    shown = [_summary(repo, one) for one in found[start : start + PAGE]]
    return JSONResponse({"discussions": shown, "count": len(found), "start": start})


def open_discussion(request: Request, body: dict) -> Response:
    repo, user = proposable_repo(request)
    opened = pulls.open_empty(
        repo,
        title=needed(body, "title", str),
        author=user.name,
        description=field(body, "description", str) or "",
        pull_request=bool(field(body, "pullRequest", bool)),
    )
    return JSONResponse(_details(repo, opened))


def _number(request: Request) -> int:
    text = request.path_params["num"]
    if not text.isdecimal() or len(text) > 9:
        raise bad_request(f"{text!r} is no discussion number")
    return int(text)


def show(request: Request) -> Response:
    repo = readable_repo(request)
    return JSONResponse(_details(repo, pulls.read(repo, _number(request))))


def comment(request: Request, body: dict) -> Response:
    repo, user = proposable_repo(request)
    changed = pulls.comment(repo, _number(request), user.name, needed(body, "comment", str))
    return JSONResponse({"newMessage": changed["events"][-1]})


def change_status(request: Request, body: dict) -> Response:
    repo, user = _author_or_owner(request)
    pulls.set_status(repo, _number(request), user.name, needed(body, "status", str))
    return _with_comment(repo, _number(request), user, body)


def rename(request: Request, body: dict) -> Response:
    repo, user = _author_or_owner(request)
    changed = pulls.rename(repo, _number(request), user.name, needed(body, "title", str))
    return JSONResponse({"newTitle": changed["events"][-1]})


def merge(request: Request, body: dict) -> Response:
    repo, user = proposable_repo(request)
    check_write(user, repo.name)
    pulls.merge_into_target(repo, _number(request), user.name)
    return _with_comment(repo, _number(request), user, body)


def _author_or_owner(request: Request) -> tuple[Repo, User]:
    repo, user = proposable_repo(request)
    if pulls.read(repo, _number(request))["author"] != user.name and not user.owns(repo.name.namespace):
        raise forbidden("Only its author and the repository's owners may change this discussion")
    return repo, user


def _with_comment(repo: Repo, number: int, user: User, body: dict) -> Response:
    text = field(body, "comment", str)
    changed = pulls.comment(repo, number, user.name, text) if text else pulls.read(repo, number)
    events = [event for event in changed["events"] if event["type"] == "status-change"]
    return JSONResponse({"newStatus": events[-1]})


_DISCUSSIONS = "/api/{type:plural}/{ns:segment}/{name:segment}/discussions"
routes: list[Route] = [
    route(_DISCUSSIONS, list_discussions),
    json_route(_DISCUSSIONS, open_discussion),
    route(_DISCUSSIONS + "/{num:segment}", show),
    json_route(_DISCUSSIONS + "/{num:segment}/comment", comment),
    json_route(_DISCUSSIONS + "/{num:segment}/status", change_status),
    json_route(_DISCUSSIONS + "/{num:segment}/title", rename),
    json_route(_DISCUSSIONS + "/{num:segment}/merge", merge),
]
