"""Log-probabilities of replies by the base model, computed once each and kept on disk as they come.

Adapters of one call often share replies; they are known by content, so that whoever asks for the same gets the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.durable import write_json

if TYPE_CHECKING:
    from tamis.run import Run
    from tamis.training.dpo_rows import Pairs

PER_FILE = 256  # replies; what a kill can cost
SIDES = ("chosen", "rejected")
Replies = dict[str, tuple[str, int, str]]  # by content: the adapter, the number of its pair, the side


class Reference:
    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder / f"reference-{_hash(identity)}"
        self.known: dict[str, float] = {}

    def fill(
        self, asked: dict[str, Pairs], score: Callable[[list[list[tuple[str, int, str]]]], list[list[float]]], run: Run
    ) -> dict[str, int]:
        """Computes what is missing, replies to one prompt about one picture together, shared out over the ranks."""
        from tqdm.auto import tqdm

        self._look()
        run.wait()  # every rank has looked before the first one writes
        prompts: dict[str, Replies] = {}
        pairs = 0
        for name, some in asked.items():
            for number in range(len(some)):
                pairs += 1
                for side in SIDES:
                    prompt, reply = some.told(number, side)
                    prompts.setdefault(_hash(prompt), {}).setdefault(_hash([prompt, reply]), (name, number, side))
        missing = [
            {key: where for key, where in replies.items() if key not in self.known} for replies in prompts.values()
        ]
        missing = [replies for replies in missing if replies]
        mine = missing[run.rank :: run.ranks]
        figures = {
            "replies": 2 * pairs,
            "replies_different": sum(map(len, prompts.values())),
            "replies_computed": sum(map(len, missing)),
        }
        with tqdm(total=sum(map(len, mine)), desc="reference", unit="reply", disable=not run.is_main) as bar:
            waiting: list[Replies] = []
            for replies in mine:
                waiting.append(replies)
                if sum(map(len, waiting)) >= PER_FILE or replies is mine[-1]:
                    found = score([list(some.values()) for some in waiting])
                    self._write(
                        {
                            key: value
                            for some, values in zip(waiting, found, strict=True)
                            for key, value in zip(some, values, strict=True)
                        }
                    )
                    bar.update(sum(map(len, waiting)))
                    waiting = []
        run.wait()
        self._look()
        return figures

    def of(self, pairs: Pairs) -> list[tuple[float, float]]:
        def known(number: int, side: str) -> float:
            return self.known[_hash(list(pairs.told(number, side)))]

        return [(known(number, "chosen"), known(number, "rejected")) for number in range(len(pairs))]

    def remove(self) -> None:
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def _look(self) -> None:
        for path in self.folder.glob("*.json"):
            self.known |= json.loads(path.read_text())

    def _write(self, found: dict[str, float]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / f"{uuid.uuid4().hex}.json", found)


def _hash(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]
