"""Servers: one that stays, one that ends with the last `run`, and one in a thread for tests."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import uvicorn

from tamis.localhub.app import LoggedRequest, create_app
from tamis.localhub.auth import User, load_credentials
from tamis.localhub.environment import child_environment, fresh_cache
from tamis.localhub.faults import CuttableConnection, Faults
from tamis.localhub.record import Record, remove_record, runs_lock, server_lock, write_record
from tamis.localhub.seeding import Seed, seed
from tamis.localhub.store import Store

DEFAULT_PORT = 7860


class HubAlreadyLive(RuntimeError):
    """Another server has this state folder."""


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; without a port the default one, or a free one where that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (DEFAULT_PORT, 0) if port is None else (port,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError:
            listener.close()
            if candidate == 0 or port is not None:
                raise
            continue
        return listener
    raise AssertionError("unreachable: port 0 is always tried last")


def url_of(listener: socket.socket, host: str) -> str:
    """Where this machine reaches the server; one that listens everywhere is reached at home."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def make_server(
    store: Store,
    users: Sequence[User],
    host: str,
    identity: str,
    faults: Faults | None = None,
    log: list[LoggedRequest] | None = None,
) -> uvicorn.Server:
    app = create_app(store, list(users), host=host, identity=identity, faults=faults, log=log)
    config = uvicorn.Config(
        app,
        http=CuttableConnection if faults is not None else "h11",
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        # Behind no proxy: whoever sends X-Forwarded-* must not be believed.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


class ReadyCallback(Protocol):
    def __call__(self, url: str) -> None: ...


def serve(
    folder: Path,
    users: Sequence[User],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    until_unused: bool = False,
    ready: ReadyCallback | None = None,
) -> None:
    """Serves a state folder until a signal, or, `until_unused`, until no `run` is left."""
    lock = server_lock(folder)
    if not lock.try_exclusive():
        raise HubAlreadyLive(f"Another server has {folder}")
    try:
        store = Store(folder)
        store.remove_abandoned()
        listener = listen(host, port)
        record = Record(url_of(listener, host), uuid.uuid4().hex, os.getpid())
        server = make_server(store, users, host, record.identity)
        write_record(folder, record)
        if until_unused:
            threading.Thread(target=_stop_when_unused, args=(folder, server), daemon=True).start()
        if ready:
            ready(url=record.url)
        server.run(sockets=[listener])
    finally:
        remove_record(folder)
        lock.release()


def _stop_when_unused(folder: Path, server: uvicorn.Server) -> None:
    runs = runs_lock(folder)
    # A `run` shares this lock from before it looks for a server until its command has ended. It is kept from here on:
    # the next one waits until this process is gone and then starts its own.
    while not runs.try_exclusive():
        time.sleep(0.2)
    server.should_exit = True


@dataclass
class LiveHub:
    """A server in a thread of this process. `environment` is a whole environment for a child process."""

    url: str
    token: str
    store: Store
    environment: dict[str, str]
    faults: Faults
    requests: list[LoggedRequest] = field(default_factory=list)


@contextmanager
def live(
    directory: str | Path, users: Sequence[User] = (), seeds: Sequence[Seed] = (), faults: Faults | None = None
) -> Iterator[LiveHub]:
    """Serves `directory` on a free loopback port while the block runs; `run` in another process can join it.

    The cache that `environment` points to is removed at the end, the repositories are kept.
    """
    folder = Path(directory).absolute()
    lock = server_lock(folder)
    if not lock.try_exclusive():
        lock.release()
        raise HubAlreadyLive(f"Another server has {folder}")
    store = Store(folder)
    seed(store, seeds)
    listener = listen("127.0.0.1", 0)
    record = Record(url_of(listener, "127.0.0.1"), uuid.uuid4().hex, os.getpid())
    faults = faults if faults is not None else Faults()
    log: list[LoggedRequest] = []
    server = make_server(store, users, "127.0.0.1", record.identity, faults, log)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="localhub", daemon=True)
    try:
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("The embedded Hub did not start")
            time.sleep(0.005)
        write_record(folder, record)
        token = load_credentials(folder).token
        with fresh_cache(folder) as home:
            environment = child_environment(os.environ, record.url, token, home)
            yield LiveHub(record.url, token, store, environment, faults, log)
    finally:
        server.should_exit = True
        if thread.ident:
            thread.join(timeout=15)
        listener.close()
        remove_record(folder)
        lock.release()
