"""The embedded Hub: a server that unmodified Hugging Face clients push to and load from, on this machine alone.

    python -m tamis.localhub run -- COMMAND        COMMAND with its environment pointed at the Hub
    python -m tamis.localhub serve                 the Hub, and its pages, until Ctrl-C

In tests, `with live(directory) as hub:` serves in a thread: `hub.url`, `hub.token`, `hub.environment` for child
processes, `hub.faults` to make requests fail, `hub.requests` for what was asked. `seed(store, seeds)` writes
repositories once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tamis.localhub.auth import User, parse_user
    from tamis.localhub.faults import Faults
    from tamis.localhub.seeding import seed
    from tamis.localhub.serving import LiveHub, live
    from tamis.localhub.store import Store

__all__ = ["Faults", "LiveHub", "Store", "User", "live", "parse_user", "seed"]

_HOMES = {
    "Faults": "faults",
    "LiveHub": "serving",
    "Store": "store",
    "User": "auth",
    "live": "serving",
    "parse_user": "auth",
    "seed": "seeding",
}


def __getattr__(name: str) -> object:
    # The server's libraries are loaded on first use: `--help` and `run` do without them.
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"tamis.localhub.{_HOMES[name]}"), name)
