"""Faults on purpose, for tests of code that publishes: failing answers and connections that break off.

Armed in the server's own process only; nothing on the command line or in the environment reaches this.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass
class Fault:
    """What befalls the next `times` requests that match; `times` counts down."""

    pattern: re.Pattern[str]
    status: int | None
    retry_after: int | None
    times: int
    after: bool


@dataclass
class Faults:
    """Faults waiting for their requests, matched against 'METHOD /raw/path', oldest first."""

    _armed: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, pattern: str, status: int, *, times: int = 1, retry_after: int | None = None) -> Fault:
        """The next `times` requests matching `pattern` are answered `status` and nothing is done."""
        return self._arm(Fault(re.compile(pattern), status, retry_after, times, after=False))

    def drop(self, pattern: str, *, times: int = 1, after: bool = False) -> Fault:
        """The next `times` requests matching `pattern` lose their connection.

        With `after` the request is carried out first: only its answer is lost.
        """
        return self._arm(Fault(re.compile(pattern), None, None, times, after))

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    @property
    def pending(self) -> int:
        """How many requests are still to be hit."""
        with self._lock:
            return sum(fault.times for fault in self._armed)

    def _arm(self, fault: Fault) -> Fault:
        with self._lock:
            self._armed.append(fault)
        return fault

    def take(self, request: str) -> Fault | None:
        with self._lock:
            for fault in self._armed:
                if fault.pattern.search(request):
                    fault.times -= 1
                    if not fault.times:
                        self._armed.remove(fault)
                    return fault
        return None


# Connections by the peer's address, so that one can be cut from inside a request.
_transports: dict[tuple[str, int], asyncio.Transport] = {}


class CuttableConnection(H11Protocol):
    """uvicorn's own connection, entered in the list above."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _transports[transport.get_extra_info("peername")] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _transports.pop(self.transport.get_extra_info("peername"), None)
        super().connection_lost(exc)


class FaultInjection:
    """ASGI middleware that lets the armed faults happen."""

    def __init__(self, app: Callable, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        fault = None
        if scope["type"] == "http":
            fault = self.faults.take(f"{scope['method']} {scope['raw_path'].decode('ascii', 'replace')}")
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.status is not None:
            headers = {"X-Error-Message": "Injected fault"}
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
            await _read_to_its_end(receive)
            await JSONResponse({"error": "Injected fault"}, fault.status, headers)(scope, receive, send)
        else:
            if fault.after:
                await self.app(scope, receive, _into_the_void)
            else:
                await _read_to_its_end(receive)
            _transports[tuple(scope["client"])].abort()


async def _read_to_its_end(receive: Callable) -> None:
    """Takes in a request's body: a client that is still sending would see its connection reset, now and then, instead
    of the fault that was armed."""
    while (await receive()).get("more_body"):
        pass


async def _into_the_void(message: dict) -> None:
    """Swallows an answer."""
