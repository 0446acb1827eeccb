"""The Hub as an ASGI application."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tamis.localhub import api_commit, api_discussions, api_files, api_refs, api_repos, api_tree, lfs, page_rows, pages
from tamis.localhub.auth import DEFAULT_USER, Signer, User, Users, load_credentials
from tamis.localhub.errors import HubError
from tamis.localhub.faults import FaultInjection, Faults
from tamis.localhub.hub import Hub
from tamis.localhub.routing import RawPath, no_such_address, refuse, refuse_disk
from tamis.localhub.store import Store


@dataclass(frozen=True)
class LoggedRequest:
    """What tests may ask about afterwards; no headers, so no tokens."""

    method: str
    path: str
    status: int


class RequestLog:
    """ASGI middleware that notes every answer, faults included."""

    def __init__(self, app: Callable, log: list[LoggedRequest]) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        async def noting(message: dict) -> None:
            if message["type"] == "http.response.start":
                path = scope["raw_path"].decode("ascii", "replace")
                self.log.append(LoggedRequest(scope["method"], path, message["status"]))
            await send(message)

        await self.app(scope, receive, noting if scope["type"] == "http" else send)


def create_app(
    store: Store,
    users: list[User] | None = None,
    *,
    host: str = "127.0.0.1",
    identity: str | None = None,
    faults: Faults | None = None,
    log: list[LoggedRequest] | None = None,
) -> Starlette:
    """The application over a store; the default user comes with the store's credentials, `users` are added to them.

    `host` is what the server listens on. Where that is this machine alone, every other Host header is refused, so that
    no web page can reach the server under a name of its own, and the pages for people show what the default user may
    see.
    """
    loopback = host == "localhost" or host.startswith("127.")
    credentials = load_credentials(store.folder)
    middleware = [Middleware(RawPath)]
    if loopback:
        middleware.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", host]))
    if faults is not None:
        middleware.insert(0, Middleware(FaultInjection, faults=faults))
    if log is not None:
        middleware.insert(0, Middleware(RequestLog, log=log))
    modules = (api_repos, api_tree, api_refs, api_commit, api_discussions, lfs, api_files, page_rows, pages)
    app = Starlette(
        routes=[route for module in modules for route in module.routes],
        middleware=middleware,
        exception_handlers={HubError: refuse, OSError: refuse_disk, 404: no_such_address},
    )
    app.router.redirect_slashes = False
    app.state.hub = Hub(
        store=store,
        users=Users([User(DEFAULT_USER, credentials.token), *(users or [])]),
        signer=Signer(credentials.key),
        identity=identity or uuid.uuid4().hex,
        pages_as_default_user=loopback,
    )
    return app
