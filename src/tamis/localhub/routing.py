"""Addresses and answers: routes over the RAW path, request bodies with a limit, refusals as the clients read them."""

from __future__ import annotations

import errno
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tamis.localhub import hub
from tamis.localhub.errors import HubError, bad_request, entry_not_found, repo_not_found
from tamis.localhub.objects import no_space

LARGEST_JSON = 64 << 20
Result = TypeVar("Result")


def unquote_strictly(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise bad_request("The address is not UTF-8") from None


class _Segment(Convertor[str]):
    """One quoted segment: a branch 'a/b' arrives as a%2Fb and must not be split."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote_strictly(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


class _Rest(Convertor[str]):
    """All that follows, each segment unquoted after the split."""

    regex = ".*"

    def convert(self, value: str) -> str:
        return "/".join(unquote_strictly(segment) for segment in value.split("/"))

    def to_string(self, value: str) -> str:
        return quote(value)


class _Plural(Convertor[str]):
    """The repository types as addresses have them; no namespace may be called so."""

    regex = "models|datasets|spaces"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("plural", _Plural())
register_url_convertor("segment", _Segment())
register_url_convertor("rest", _Rest())


class RawPath:
    """Lets Starlette route on the path as it was sent; its convertors unquote afterwards."""

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] == "http":
            raw = scope["raw_path"].decode("ascii", "replace")
            # Some clients send '%' escapes that they need not; a '?' or '#' can no longer be in here.
            scope = {**scope, "path": raw}
        await self.app(scope, receive, send)


Handler = Callable[[Request], Response]


def route(path: str, handler: Handler, *methods: str) -> Route:
    """A route to a plain function, run in a thread of its own since it reads and writes files."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(handler, request)

    return Route(path, endpoint, methods=list(methods or ("GET",)))


def json_route(path: str, handler: Callable[[Request, dict], Response], *methods: str) -> Route:
    """A route to a function of the request and its JSON body."""

    async def endpoint(request: Request) -> Response:
        body = await read_json(request)
        return await run_in_threadpool(handler, request, body)

    return Route(path, endpoint, methods=list(methods or ("POST",)))


async def read_body(request: Request, limit: int = LARGEST_JSON) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise HubError(413, f"The request is larger than {limit >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_json(request: Request) -> dict:
    return parse_json(await read_body(request))


def parse_json(raw: bytes) -> dict:
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}") from None
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object")
    return body


async def spool_body(request: Request, folder: Path) -> IO[bytes]:
    """The body in a nameless file in `folder`, in memory while it is small."""
    # The caller closes it, in another thread.
    file = tempfile.SpooledTemporaryFile(max_size=8 << 20, dir=folder)  # noqa: SIM115
    try:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def field(body: dict, name: str, kind: type[Result]) -> Result | None:
    """A field of a JSON body, None when absent; refused (400) when it has another type."""
    value = body.get(name)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise bad_request(f"{name!r} must be of type {kind.__name__}")
    return value


def needed(body: dict, name: str, kind: type[Result]) -> Result:
    value = field(body, name, kind)
    if value is None:
        raise bad_request(f"{name!r} is missing")
    return value


# Refusals


def error_response(error: HubError) -> Response:
    # A header is one line of printable ASCII; the body carries the message in full.
    line = re.sub(r"[^ -~]", "?", " ".join(error.message.split()))
    headers = {"X-Error-Message": line, **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.extra}, error.status, headers)


async def refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return error_response(error)


async def refuse_disk(request: Request, error: Exception) -> Response:
    """Faults of the disk that a client can be told about: it is full, or the repository was deleted meanwhile."""
    assert isinstance(error, OSError)
    if isinstance(error, FileNotFoundError) and _is_gone(request):
        return error_response(repo_not_found(f"{request.path_params['ns']}/{request.path_params['name']}"))
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    return error_response(no_space(None, 0))


def _is_gone(request: Request) -> bool:
    return "ns" in request.path_params and request.app.state.hub.store.find(hub.name_of(request)) is None


async def no_such_address(request: Request, error: Exception) -> Response:
    return error_response(entry_not_found(unquote(request.scope["path"])))


def absolute(request: Request, path: str) -> str:
    """An absolute URL of this server under the name that the client used."""
    return f"{request.scope['scheme']}://{request.headers.get('host', '127.0.0.1')}{path}"


def next_link(request: Request, **changes: str | int) -> dict[str, str]:
    """The Link header to the next page: the same address with `changes` in its query."""
    url = request.url.include_query_params(**changes)
    return {"Link": f'<{absolute(request, request.scope["path"])}?{url.query}>; rel="next"'}
