"""Calls to a server: so many at a time, patiently, within what may be spent, and with no key in any message."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tamis.retries import PASSING, UNREACHABLE_ATTEMPTS, ServiceError, first_line

ATTEMPTS = 7  # about a minute of pauses in all
FIRST_PAUSE = 1.0  # seconds, doubled at each attempt
LONGEST_PAUSE = 30.0
LONGEST_STATED = 300.0  # what a server asks for with Retry-After is honoured up to this
REFUSED = (400, 413, 422)  # about what was sent, not about the server: the next row may well pass
TOLD = 300  # characters of a server's words that a message repeats

Send = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ApiError(ServiceError):
    """A server failed or was not to be had. results: what had been answered when it did, None for what had not."""

    results: list[Any]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.results = []


class SpendingCapError(ApiError):
    """What may be spent is spent. results: what was bought, as the verb would have returned it, None elsewhere."""


@dataclass(frozen=True)
class Refusal:
    """The server answered that it will not answer this, or gave no answer to it."""

    reason: str


@dataclass(frozen=True, eq=False)
class Exchange:
    """One body to be sent, and how its reply is read. read raises ValueError for a reply that makes no sense."""

    body: dict[str, Any]
    read: Callable[[dict[str, Any]], Any]
    about: tuple[str, ...] = ()  # the questions it asks


@dataclass
class Ledger:
    """What this process has spent with one judge's settings: requests sent, failed ones too, and tokens as told."""

    calls: int = 0
    tokens: int = 0
    answered: int = 0


@dataclass(frozen=True)
class Limits:
    where: str  # names the server and the route in messages
    concurrency: int
    max_calls: int | None
    max_tokens: int | None
    secrets: tuple[str, ...] = field(repr=False, default=())

    def clean(self, text: str) -> str:
        """Words of others on one line, without the key: servers repeat what they were sent."""
        for secret in self.secrets:
            text = text.replace(secret, "[key]")
        return " ".join(text.split())[:TOLD]

    def passed(self, ledger: Ledger) -> SpendingCapError | None:
        for name, cap, count in (
            ("max_calls", self.max_calls, ledger.calls),
            ("max_tokens", self.max_tokens, ledger.tokens),
        ):
            if cap is not None and count >= cap:
                spent = f"{ledger.calls} calls and {ledger.tokens} tokens are spent"
                return SpendingCapError(f"{self.where}: {spent}, {name} is {cap}; no further call is made")
        return None


_ledgers: dict[Hashable, Ledger] = {}


def ledger_of(settings: Hashable) -> Ledger:
    """One ledger for all uses of equal settings in this process. It is no part of a judge: journals key by those."""
    return _ledgers.setdefault(settings, Ledger())


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of asynchronous work, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        running = False
    else:
        running = True
    if not running:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def exchange_all(exchanges: list[Exchange], send: Send, limits: Limits, ledger: Ledger) -> list[Any]:
    """Each reply as read, or a Refusal. After the first failure nothing more is sent; what is under way is awaited.

    Where a server has never answered and refuses every call of the first lot, the settings are wrong and not the
    rows: that raises.
    """
    results: list[Any] = [None] * len(exchanges)
    failures: list[ApiError] = []
    waiting = iter(enumerate(exchanges))

    async def work() -> None:
        for number, exchange in waiting:
            try:
                results[number] = await _patiently(exchange, send, limits, ledger, failures)
            except ApiError as error:
                failures.append(error)
            if failures:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limits.concurrency, len(exchanges))):
            group.create_task(work())
    if not failures and not ledger.answered and results and all(isinstance(one, Refusal) for one in results):
        failures.append(ApiError(f"{limits.where}: every call was refused; the first: {results[0].reason}"))
    if failures:
        failure = failures[0]
        if isinstance(failure, SpendingCapError):  # told once more, with what was under way
            failure = limits.passed(ledger) or failure
        failure.results = results
        raise failure
    return results


async def _patiently(exchange: Exchange, send: Send, limits: Limits, ledger: Ledger, failures: list[ApiError]) -> Any:
    """The reply as read; faults of the service are tried again. No exception keeps the client's, which may tell all."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled

    for attempt in range(1, ATTEMPTS + 1):
        if (passed := limits.passed(ledger)) is not None:
            raise passed
        ledger.calls += 1
        stated, unreachable = None, False
        try:
            reply = await send(exchange.body)
            if not isinstance(reply, dict):
                raise ValueError(f"expected a JSON object, got {type(reply).__name__}")
            _count(reply, limits, ledger)
            result = _cleaned(exchange.read(reply), limits)
            ledger.answered += 1
            return result
        except HfHubHTTPError as error:
            status, stated = error.response.status_code, error.response.headers.get("Retry-After")
            why = f"HTTP {status}: {limits.clean(error.response.text)}"
            if status in REFUSED:
                return Refusal(why)
            if status not in PASSING and status < 500:
                raise ApiError(f"{limits.where}: {why}") from None
        except OfflineModeIsEnabled:
            raise ApiError(f"{limits.where}: not asked, since HF_HUB_OFFLINE is set") from None
        except (httpx2.TimeoutException, InferenceTimeoutError):
            why = "no reply in time"
        except httpx2.TransportError as error:
            unreachable = isinstance(error, httpx2.ConnectError)
            why = f"{type(error).__name__}: {limits.clean(first_line(error))}"
        except ValueError as error:
            why = f"a reply that cannot be read: {limits.clean(first_line(error))}"
        if failures or (unreachable and attempt >= UNREACHABLE_ATTEMPTS):
            break  # another call's failure ends this one too
        if attempt < ATTEMPTS:
            await asyncio.sleep(pause(stated, attempt))
    raise ApiError(f"{limits.where}: gave up after {attempt} tries: {why}")


def _cleaned(result: Any, limits: Limits) -> Any:
    """Reasons go into journals and onto cards."""
    if isinstance(result, Refusal):
        return Refusal(limits.clean(result.reason))
    if isinstance(result, dict):
        return {name: _cleaned(one, limits) for name, one in result.items()}
    return result


def _count(reply: dict[str, Any], limits: Limits, ledger: Ledger) -> None:
    usage = reply.get("usage") or {}
    counts = [usage.get(name) for name in ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")]
    told = [count for count in counts if isinstance(count, int)]
    ledger.tokens += sum(told)
    if limits.max_tokens is not None and not told:
        raise ApiError(f"{limits.where}: the server tells no token counts, so max_tokens cannot be kept")


def pause(stated: str | None, attempt: int) -> float:
    """Seconds until the next attempt: what Retry-After says, in seconds or as a date, or twice the last pause."""
    if stated is not None:
        try:
            return min(max(float(stated), 0.0), LONGEST_STATED)
        except ValueError:
            pass
        try:
            until = email.utils.parsedate_to_datetime(stated)
        except ValueError:
            until = None
        if until is not None and until.tzinfo is not None:
            seconds = (until - datetime.datetime.now(datetime.UTC)).total_seconds()
            return min(max(seconds, 0.0), LONGEST_STATED)
    return min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
