"""A judge on a server: decision models by their own routes, any other by chat completions."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from tamis.config import COST_ONLY
from tamis.judge.api_calls import ApiError, Exchange, Ledger, Limits, Refusal, Send, exchange_all, finish, ledger_of
from tamis.judge.asking import MAX_PIXELS, Ask, Request

ROUTES = {"systemone": "/systemone", "decisions": "/decisions", "chat": "/chat/completions"}
VERSION = re.compile(r"/v\d\w*(/|$)")  # of a server's path: /v1, Gemini's /v1beta/openai


@dataclass(frozen=True)
class ApiJudge:
    """Settings of a judge that a server runs; the verbs and shapes of LocalJudge.

    Where the server leaves a question out or refuses it, its answer is {"type": ..., "error": reason}. A fault of the
    service is tried again, then raises ApiError with the answers in hand as its `results`. The caps hold for a process
    and equal settings, whatever the order_seed: before a call that would pass one, SpendingCapError is raised, with
    `results` too. Calls under way are not called back: max_tokens may be passed by as many calls as run at once. The
    key is read from the environment at each use and is nowhere else.
    """

    model: Annotated[str, "model by the name the server knows it by"]
    base_url: Annotated[str, "address of the server, with or without /v1; another version in it: taken as it is"]
    route: Annotated[str, "systemone, decisions or chat"] = "chat"
    api_key_env: Annotated[str, "environment variable that holds the key; unset: no key is sent"] = field(
        default="OPENAI_API_KEY", metadata=COST_ONLY
    )
    concurrency: Annotated[int, "calls under way at once, 1 to 100"] = field(default=8, metadata=COST_ONLY)
    max_calls: Annotated[int | None, "requests sent at most, repeated ones included; null: no cap"] = field(
        default=None, metadata=COST_ONLY
    )
    max_tokens: Annotated[int | None, "tokens read and written at most, as the server counts; null: no cap"] = field(
        default=None, metadata=COST_ONLY
    )
    timeout: Annotated[float, "seconds a call may take"] = field(default=120.0, metadata=COST_ONLY)
    order_seed: Annotated[int | None, "draws the order of a choice's options; null: as they are given"] = 0
    max_pixels: Annotated[int, "larger images are scaled down to this"] = MAX_PIXELS
    top_logprobs: Annotated[int | None, "chat: tokens to tell the probability of; null: not asked for"] = 20
    continues: Annotated[bool, "write: the server goes on with a begun reply (vLLM, SGLang)"] = False
    structured: Annotated[bool, "write: the server keeps to a JSON schema (vLLM, SGLang, OpenAI, Gemini)"] = False

    def __post_init__(self) -> None:
        if self.route not in ROUTES:
            raise ValueError(f"route: {self.route!r}; expected one of {', '.join(ROUTES)}")
        # What is wrong in these two is not repeated: it may be a key.
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.api_key_env):
            raise ValueError("api_key_env: expected the name of an environment variable, in capitals")
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc or address.query:
            raise ValueError("base_url: expected http://HOST or https://HOST, with no user, password or query in it")
        if not 1 <= self.concurrency <= 100:
            raise ValueError(f"concurrency: {self.concurrency}; expected 1 to 100")
        for name in ("max_calls", "max_tokens"):
            if (cap := getattr(self, name)) is not None and cap < 1:
                raise ValueError(f"{name}: {cap}; expected at least 1, or null")
        if self.timeout <= 0:
            raise ValueError(f"timeout: {self.timeout}; expected more than 0 seconds")

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()  # nothing on the Hub that could be pinned: what stands behind a name is the server's

    @property
    def spent(self) -> Ledger:
        """What this process has spent with these settings; who asks in several orders of the options spends once."""
        return ledger_of(replace(self, order_seed=None))

    def decide(
        self, requests: list[Request], *, batch_size: int = 16, notes: Counter[str] | None = None
    ) -> list[dict[str, dict[str, Any]]]:
        """For each request its answers by question name. batch_size is LocalJudge's: here concurrency decides.

        notes: counts answers by "answered" or the reason why not.
        """
        from tamis.judge import api_chat, api_routes

        most, split = {
            "systemone": (api_routes.MOST_OPTIONS, partial(api_routes.systemone, model=self.model)),
            "decisions": (api_routes.MOST_OPTIONS, partial(api_routes.decisions, model=self.model)),
            "chat": (api_chat.MOST_OPTIONS, partial(api_chat.chat, top_logprobs=self.top_logprobs)),
        }[self.route]
        prepared = [api_routes.prepare(one, self.order_seed, self.max_pixels, most) for one in requests]
        parts = [split(one) for one in prepared]

        def gathered(results: list[Any]) -> list[Any]:
            answers, rest = [], iter(results)
            for one, part in zip(prepared, parts, strict=True):
                found: api_routes.Found = {}
                for exchange in part:
                    result = next(rest, None)
                    if isinstance(result, Refusal):
                        found |= dict.fromkeys(exchange.about, result)
                    elif result is not None:
                        found |= result
                answers.append(api_routes.answers_of(one, found) or None)
            return answers

        answers = self._exchanged([exchange for part in parts for exchange in part], gathered)
        if notes is not None:
            notes.update(answer.get("error", "answered") for one in answers for answer in one.values())
        return answers

    def write(
        self,
        asks: list[Ask],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 16,
        notes: Counter[str] | None = None,
    ) -> list[str]:
        """For each ask the text, by chat completions whatever the route, without what was begun; "" where refused.

        begun is only taken where the server is said to go on with it (`continues`): one that does not would answer
        anew, and no reply tells. seed: drawn from for each ask by its place, where a server takes seeds.
        notes: counts texts by "written" or the reason why not.
        """
        from tamis.judge.api_chat import writing

        exchanges = [
            writing(
                ask,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                seed=(seed + number) % 2**31,
                max_pixels=self.max_pixels,
                continues=self.continues,
                structured=self.structured,
            )
            for number, ask in enumerate(asks)
        ]

        def gathered(results: list[Any]) -> list[Any]:
            if notes is not None:
                known = [one for one in results if one is not None]
                notes.update(one.reason if isinstance(one, Refusal) else "written" for one in known)
            return ["" if isinstance(one, Refusal) else one for one in results]

        return self._exchanged(exchanges, gathered, "chat")

    def _exchanged(self, exchanges: list[Exchange], gathered: Any, route: str | None = None) -> list[Any]:
        route = route or self.route
        key = self._key()
        address = self._root() + ROUTES[route]
        limits = Limits(
            where=f"{address} ({self.model})",
            concurrency=self.concurrency,
            max_calls=self.max_calls,
            max_tokens=self.max_tokens,
            secrets=(key,) if key else (),
        )

        async def work() -> list[Any]:
            async with self._client(address, route, key) as send:
                return await exchange_all(exchanges, send, limits, self.spent)

        try:
            return gathered(finish(work()))
        except ApiError as error:
            error.results = gathered(error.results)
            raise

    def _root(self) -> str:
        """What the routes stand below: base_url, where its path has a version in it; else its /v1."""
        root = self.base_url.rstrip("/")
        return root if VERSION.search(urlsplit(root).path) else f"{root}/v1"

    def _key(self) -> str | None:
        key = os.environ.get(self.api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):  # the client would quote it when it refuses the header
            raise ValueError(f"{self.api_key_env}: what this environment variable holds cannot be sent as a key")
        return key or None

    @asynccontextmanager
    async def _client(self, address: str, route: str, key: str | None) -> AsyncIterator[Send]:
        """Sends one body. Without a key of its own no header is sent: the Hub's token is for the Hub alone."""
        import httpx2
        from huggingface_hub import AsyncInferenceClient
        from huggingface_hub.utils import hf_raise_for_status

        header: Any = {"authorization": f"Bearer {key}" if key else None}
        async with httpx2.AsyncClient(timeout=self.timeout) as session:

            async def post(body: dict[str, Any]) -> dict[str, Any]:
                headers = {name: value for name, value in header.items() if value}
                response = await session.post(address, json=body, headers=headers)
                hf_raise_for_status(response)
                return response.json()

            if route != "chat":
                yield post
                return
            async with AsyncInferenceClient(base_url=address, headers=header, timeout=self.timeout) as client:

                async def complete(body: dict[str, Any]) -> dict[str, Any]:
                    if "response_format" in body:  # the client makes it what its own servers know, and others do not
                        more = body.get("extra_body", {})
                        own = {name: value for name, value in body.items() if name != "extra_body"}
                        return await post({"model": self.model, **own, **more})
                    return await client.chat_completion(model=self.model, **body)

                yield complete
