"""Which server is alive over a state folder: a lock that dies with its holder, and the address it left."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tamis.durable import write_json

START_SECONDS = 60.0


class FolderLock:
    """A lock on one file of the state folder, held until it is let go of or the process ends, however it ends."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        os.close(self._descriptor)


def server_lock(folder: Path) -> FolderLock:
    """Held by the one server over a folder."""
    return FolderLock(folder, "server.lock")


def runs_lock(folder: Path) -> FolderLock:
    """Shared by every `run` that uses the server; who gets it exclusively knows that none is left."""
    return FolderLock(folder, "runs.lock")


@dataclass(frozen=True)
class Record:
    """Where a server answers; `identity` tells it from another that took over its port."""

    url: str
    identity: str
    pid: int


def write_record(folder: Path, record: Record) -> None:
    write_json(folder / "server.json", vars(record), private=True)


def remove_record(folder: Path) -> None:
    (folder / "server.json").unlink(missing_ok=True)


def find_live(folder: Path) -> Record | None:
    """The server that a folder's record speaks of, if that very server answers."""
    try:
        record = Record(**json.loads((folder / "server.json").read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if _ask(record.url, "/api/localhub").get("identity") == record.identity else None


def _ask(url: str, path: str, token: str | None = None) -> dict:
    """A JSON answer of a server on this machine, {} when there is none; proxies play no part."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}


def user_at(url: str, token: str) -> str | None:
    """The name that a server knows a token under."""
    return _ask(url, "/api/whoami-v2", token).get("name")


def wait_until_live(folder: Path, still_starting: object = None) -> Record | None:
    """Waits for the folder's server to answer; gives up early when `still_starting.poll()` tells that it ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if record := find_live(folder):
            return record
        if still_starting is not None and still_starting.poll() is not None:
            return find_live(folder)
        time.sleep(0.05)
    return None
