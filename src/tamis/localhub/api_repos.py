"""Repositories and users over HTTP: who am I, create, delete, move, settings, describe, list."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub import card
from tamis.localhub.auth import READ_ONLY_ORGANISATION, can_read, check_write, checked_namespace
from tamis.localhub.commits import POINTER_SIZE, Commit
from tamis.localhub.errors import HubError, bad_request, login_needed, repo_not_found
from tamis.localhub.hub import hub_of, readable_repo, revision_of, user_of, writable_repo
from tamis.localhub.names import RepoName
from tamis.localhub.repo import Repo
from tamis.localhub.routing import absolute, field, json_route, needed, next_link, route

# Always told, whatever `expand` asks for.
_ALWAYS = ("_id", "id")


def whoami(request: Request) -> Response:
    user = user_of(request)
    if user is None:
        raise login_needed()
    organisations = [*user.organisations, READ_ONLY_ORGANISATION]
    return JSONResponse(
        {
            "type": "user",
            "id": user.name,
            "name": user.name,
            "fullname": user.name,
            "isPro": False,
            "orgs": [
                {
                    "type": "org",
                    "id": name,
                    "name": name,
                    "fullname": name,
                    "roleInOrg": "read" if name == READ_ONLY_ORGANISATION else user.role,
                }
                for name in organisations
            ],
            "auth": {"type": "access_token", "accessToken": {"displayName": "localhub", "role": user.role}},
        }
    )


def identity(request: Request) -> Response:
    """Lets a second process see that the server it read of is this one, alive."""
    return JSONResponse({"hub": "tamis.localhub", "identity": hub_of(request).identity})


def _wants_private(body: dict) -> bool | None:
    visibility = field(body, "visibility", str)
    if visibility not in (None, "public", "private"):
        raise bad_request(f"visibility {visibility!r}: public or private")
    return visibility == "private" if visibility else field(body, "private", bool)


def create(request: Request, body: dict) -> Response:
    user = user_of(request)
    if user is None:
        raise login_needed()
    namespace = checked_namespace(body.get("organization"), user)
    name = RepoName(field(body, "type", str) or "model", namespace, needed(body, "name", str))
    check_write(user, name)
    url = absolute(request, name.page)
    try:
        hub_of(request).store.create(name, author=user.name, private=bool(_wants_private(body)))
    except HubError as error:
        # A client that allows an existing repository reads the address from the refusal.
        error.extra["url"] = url
        raise
    return JSONResponse({"url": url, "name": name.id, "id": name.id})


def delete(request: Request, body: dict) -> Response:
    user = user_of(request)
    if user is None:
        raise login_needed()
    namespace = checked_namespace(body.get("organization"), user)
    name = RepoName(field(body, "type", str) or "model", namespace, needed(body, "name", str))
    store = hub_of(request).store
    repo = store.repo(name)
    check_write(user, repo.name)
    store.delete(name)
    return JSONResponse({})


def move(request: Request, body: dict) -> Response:
    user = user_of(request)
    repo_type = field(body, "type", str) or "model"
    source = RepoName.parse(repo_type, needed(body, "fromRepo", str))
    target = RepoName.parse(repo_type, needed(body, "toRepo", str))
    for name in (source, target):
        check_write(user, name)
    hub_of(request).store.move(source, target)
    return JSONResponse({"url": absolute(request, target.page)})


def change_settings(request: Request, body: dict) -> Response:
    repo, _ = writable_repo(request)
    if body.get("gated"):
        raise HubError(501, "Gated repositories are not supported by the embedded Hub")
    private = _wants_private(body)
    if private is not None:
        with repo.locked():
            repo.change_settings(private=private)
    return JSONResponse({"private": repo.private})


def auth_check(request: Request) -> Response:
    """Answers those who may read the repository; the refusal says the rest."""
    readable_repo(request)
    return JSONResponse({})


def describe(request: Request) -> Response:
    repo = readable_repo(request)
    commit = revision_of(request, repo)
    blobs = request.query_params.get("blobs", "").lower() == "true"
    return JSONResponse(_only_expanded(repo_info(repo, commit, blobs=blobs), request.query_params.getlist("expand")))


def no_namespace(request: Request) -> Response:
    """Repositories without a namespace ('gpt2') exist on the real Hub only."""
    raise repo_not_found(request.path_params["name"])


def _only_expanded(info: dict, expand: list[str]) -> dict:
    return {key: value for key, value in info.items() if key in _ALWAYS or key in expand} if expand else info


def repo_info(repo: Repo, commit: Commit, *, blobs: bool = False) -> dict:
    data, _, _ = card.read_card(repo, commit)
    info: dict = {
        "_id": repo.name.id,
        "id": repo.name.id,
        "author": repo.name.namespace,
        "sha": commit.oid,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "lastModified": commit.date,
        "createdAt": repo.settings["createdAt"],
        "tags": card.tags(repo.name.type, data, commit),
        "cardData": data,
        "usedStorage": sum(entry.size for entry in commit.files.values()),
        "siblings": [_sibling(path, commit, blobs) for path in commit.files],
    }
    if repo.name.type == "model":
        info["modelId"] = repo.name.id
        info["pipeline_tag"] = card.pipeline_tag(data)
        info["library_name"] = card.library_name(data, commit)
        info["model-index"] = data.get("model-index")
        info["evalResults"] = card.eval_results(repo, commit)
    elif repo.name.type == "dataset":
        info["description"] = str(data.get("pretty_name") or "")
    return info


def _sibling(path: str, commit: Commit, blobs: bool) -> dict:
    sibling: dict = {"rfilename": path}
    if blobs:
        entry = commit.files[path]
        sibling |= {"size": entry.size, "blobId": entry.blob_id}
        if entry.is_lfs:
            sibling["lfs"] = {"sha256": entry.object, "size": entry.size, "pointerSize": POINTER_SIZE}
    return sibling


def list_repos(request: Request) -> Response:
    """GET /api/models|datasets|spaces: newest first unless sorted otherwise, in pages."""
    plural: str = request.path_params["type"]
    query, user = request.query_params, user_of(request)
    wanted_tags = [tag for value in query.getlist("filter") for tag in value.split(",") if tag]
    found = []
    for repo, head in hub_of(request).store.heads(plural[:-1]):
        if not can_read(user, repo) or (query.get("author") and repo.name.namespace != query["author"]):
            continue
        if query.get("search", "").lower() not in repo.name.id.lower():
            continue
        info = repo_info(repo, head)
        if set(wanted_tags) <= set(info["tags"]) and query.get("pipeline_tag") in (None, info.get("pipeline_tag")):
            found.append(info)
    key = query.get("sort", "lastModified")
    if key not in ("lastModified", "createdAt", "id", "downloads", "likes", "trendingScore"):
        raise bad_request(f"Cannot sort by {key!r}")
    found.sort(key=lambda info: (info.get(key) or 0, info["id"]) if key != "id" else info["id"], reverse=key != "id")
    start, limit = _count(query.get("cursor"), 0), min(max(_count(query.get("limit"), 100), 1), 1000)
    page = found[start : start + limit]
    headers = next_link(request, cursor=start + limit) if start + limit < len(found) else None
    if query.getlist("expand"):
        page = [_only_expanded(info, query.getlist("expand")) for info in page]
    elif query.get("full", "").lower() not in ("true", "1"):
        page = [{key: value for key, value in info.items() if key not in ("cardData", "siblings")} for info in page]
    return JSONResponse(page, headers=headers)


def _count(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise bad_request(f"{text!r} is not a count")
    return int(text)


def validate_yaml(request: Request, body: dict) -> Response:
    """Tells whether a card's header can be read; always JSON, since clients read the answer before its status."""
    try:
        card.parse_card(needed(body, "content", str))
    except ValueError as error:
        return JSONResponse({"errors": [{"message": f"Invalid YAML header: {error}"}], "warnings": []}, 400)
    return JSONResponse({"errors": [], "warnings": []})


routes: list[Route] = [
    route("/api/whoami-v2", whoami),
    route("/api/localhub", identity),
    json_route("/api/repos/create", create),
    json_route("/api/repos/delete", delete, "DELETE"),
    json_route("/api/repos/move", move),
    json_route("/api/validate-yaml", validate_yaml),
    route("/api/{type:plural}", list_repos),
    route("/api/{type:plural}/{ns:segment}/{name:segment}", describe),
    route("/api/{type:plural}/{ns:segment}/{name:segment}/revision/{rev:segment}", describe),
    route("/api/{type:plural}/{ns:segment}/{name:segment}/auth-check", auth_check),
    json_route("/api/{type:plural}/{ns:segment}/{name:segment}/settings", change_settings, "PUT"),
    route("/api/{type:plural}/{name:segment}", no_namespace),
]
