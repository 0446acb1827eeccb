"""A server on loopback that replays what it is given, and notes what it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], Any]  # status, headers, what is sent as JSON (bytes go as they are)


@dataclass
class Replayed:
    """reply: made from the number of the request, from 0, and its body."""

    reply: Callable[[int, dict[str, Any]], Reply]
    seconds: float = 0.0
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def replaying(reply: Callable[[int, dict[str, Any]], Reply], seconds: float = 0.0) -> Iterator[Replayed]:
    seen = Replayed(reply, seconds)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with seen.lock:
                number = len(seen.bodies)
                seen.bodies.append(body)
                seen.headers.append({name.lower(): value for name, value in self.headers.items()})
                seen.paths.append(self.path)
                seen.times.append(time.monotonic())
                seen.under_way += 1
                seen.most_under_way = max(seen.most_under_way, seen.under_way)
            time.sleep(seen.seconds)
            status, headers, content = seen.reply(number, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            with seen.lock:
                seen.under_way -= 1
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked may be tired of waiting
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


USAGE = {"input_tokens": 100, "output_tokens": 0}


def system_one(body: dict[str, Any], *, without: tuple[str, ...] = ()) -> Reply:
    """Each question's first option by 0.6, as transformers serve answers."""
    answers: dict[str, Any] = {}
    for name, question in body["questions"].items():
        if question["type"] == "noul":
            answers[name] = {"type": "noul", "noul": 0.6}
            continue
        options = list(question["criteria"]) if question["type"] == "choice" else range(len(question["criteria"]))
        rest = 0.4 / (len(options) - 1)
        weights = {str(option): 0.6 if number == 0 else rest for number, option in enumerate(options)}
        answers[name] = {"type": question["type"], "probabilities": weights, "confidence": 0.4}
    kept = {name: answer for name, answer in answers.items() if name not in without}
    return 200, {}, {"model": "m", "answers": kept, "usage": USAGE}


def completion(text: str | None, likely: dict[str, float] | None = None, finish: str = "stop") -> Reply:
    """A chat completion; likely: log-probabilities of its first token's place."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    if likely is not None:
        top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in likely.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    usage = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
    told = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return 200, {}, told
