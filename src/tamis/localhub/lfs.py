"""Large files as in git-lfs: the batch call signs a link, the bytes go there without a token, verify looks again."""

from __future__ import annotations

import re
import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub.auth import User
from tamis.localhub.errors import HubError, bad_request
from tamis.localhub.hub import hub_of, name_of, proposable_repo, pushable_repo
from tamis.localhub.objects import no_space
from tamis.localhub.repo import Repo
from tamis.localhub.routing import absolute, field, json_route, needed

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LINK_SECONDS = 24 * 3600
_MEDIA_TYPE = "application/vnd.git-lfs+json"


def _pushable_repo(request: Request, body: dict) -> tuple[Repo, User]:
    """A push to a branch needs the right to write; without one it can only be the start of a pull request."""
    branch = field(field(body, "ref", dict) or {}, "name", str)
    return pushable_repo(request, branch, opens_pull_request=False)


def _object(body: dict) -> tuple[str, int]:
    oid, size = needed(body, "oid", str), needed(body, "size", int)
    if not _SHA256.fullmatch(oid) or size < 0:
        raise bad_request(f"Invalid LFS object {oid[:80]!r} of {size} bytes")
    return oid, size


def batch(request: Request, body: dict) -> Response:
    repo, _ = _pushable_repo(request, body)
    if field(body, "operation", str) != "upload":
        raise bad_request("Only uploads go through the LFS batch call; files are downloaded from /resolve/")
    objects = [_object(item if isinstance(item, dict) else {}) for item in needed(body, "objects", list)]
    missing = {oid: size for oid, size in objects if repo.objects.size(oid) != size}
    total, free = sum(missing.values()), repo.objects.free_bytes()
    if total > free:
        # Said before gigabytes are sent.
        raise no_space(total, free)
    answers = []
    for oid, size in objects:
        answer: dict = {"oid": oid, "size": size}
        if oid in missing:
            answer["authenticated"] = True
            answer["actions"] = {
                "upload": {"href": _signed_link(request, repo, oid, size)},
                "verify": {"href": absolute(request, f"{repo.name.page}.git/info/lfs/objects/verify")},
            }
        answers.append(answer)
    return JSONResponse({"transfer": "basic", "objects": answers}, media_type=_MEDIA_TYPE)


def _signed_link(request: Request, repo: Repo, oid: str, size: int) -> str:
    expires = int(time.time()) + _LINK_SECONDS
    signature = hub_of(request).signer.sign(repo.name.type, repo.name.id, oid, size, expires)
    path = f"/lfs/{repo.name.type}s/{repo.name.id}/{oid}/{size}"
    return absolute(request, f"{path}?expires={expires}&signature={signature}")


async def upload(request: Request) -> Response:
    """PUT of the bytes: streamed to disk, kept only when size and sha256 are the signed ones."""
    name, oid, size = name_of(request), request.path_params["oid"], request.path_params["size"]
    expires = request.query_params.get("expires", "0")
    hub = hub_of(request)
    hub.signer.check(
        request.query_params.get("signature", ""),
        name.type,
        name.id,
        oid,
        size,
        int(expires) if expires.isdecimal() and len(expires) < 15 else 0,
    )
    if int(expires) < time.time():
        raise HubError(403, "This upload link has expired")
    announced = request.headers.get("content-length")
    if announced is not None and announced != str(size):
        raise bad_request(f"{announced} bytes are sent for an object of {size}")
    objects = hub.store.repo(name).objects
    incoming = await run_in_threadpool(objects.incoming, oid, size)
    with incoming:
        async for chunk in request.stream():
            await run_in_threadpool(incoming.write, chunk)
        await run_in_threadpool(incoming.keep)
    return Response(status_code=200, headers={"ETag": f'"{oid}"'})


def verify(request: Request, body: dict) -> Response:
    repo, _ = proposable_repo(request)
    oid, size = _object(body)
    if repo.objects.size(oid) != size:
        raise HubError(404, f"The LFS object {oid} of {size} bytes is not here")
    return JSONResponse({})


def _git_routes(prefix: str) -> list[Route]:
    # Starlette matches the name greedily up to '.git', which no name may end in.
    repo = prefix + "/{ns:segment}/{name:segment}.git/info/lfs/objects"
    return [json_route(repo + "/batch", batch), json_route(repo + "/verify", verify)]


routes: list[Route] = [
    *_git_routes("/{type:plural}"),
    *_git_routes(""),
    Route("/lfs/{type:plural}/{ns:segment}/{name:segment}/{oid:segment}/{size:int}", upload, methods=["PUT"]),
]
