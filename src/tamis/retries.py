"""Patience with a Hub that is busy, failing or gone for a moment; one clear error when it stays so."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

ATTEMPTS = 7  # about two minutes in all
UNREACHABLE_ATTEMPTS = 3  # nobody there at all: a wrong address or no network, which minutes do not mend
# 409 and 412: another commit came first, a fresh parent will do. The rest: busy or failing.
PASSING = (408, 409, 412, 425, 429, 500, 502, 503, 504)


class ServiceError(RuntimeError):
    """Something elsewhere could not be reached or refused; what was finished here is kept."""


class HubError(ServiceError):
    """The Hub did."""


def patiently(call: Callable[[], Result], what: str) -> Result:
    """The result of the call, tried again while a retry can help. `what` begins every message.

    The clients retry some of their requests and not others (no commit, no repo info): this covers the rest.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 401 and not isinstance(error, RepositoryNotFoundError):
                raise HubError(f"{what}: no token, or one the Hub does not know: hf auth login, or HF_TOKEN") from error
            if status not in PASSING:
                raise
            failure, wait, why = error, _wait(error, attempt), f"HTTP {status}"
        except httpx2.ConnectError as error:
            failure, wait, why = error, _wait(None, attempt), "ConnectError"
            if attempt == UNREACHABLE_ATTEMPTS:
                raise HubError(
                    f"{what}: no Hub can be reached ({first_line(error)}); without a network, give a local folder, or "
                    "start the command as: python -m tamis.localhub run -- ..."
                ) from error
        except httpx2.TransportError as error:
            failure, wait, why = error, _wait(None, attempt), type(error).__name__
        if attempt == ATTEMPTS:
            raise HubError(f"{what}: gave up after {ATTEMPTS} tries ({why}: {first_line(failure)})") from failure
        print(f"{what}: {why}, trying again in {wait:.0f} s", file=sys.stderr, flush=True)
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _wait(error: Any, attempt: int) -> float:
    stated = error.response.headers.get("Retry-After") if error is not None else None
    return min(float(stated), 300.0) if stated and stated.isdigit() else float(min(2 ** (attempt - 1), 30))


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
