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
Where = tuple[str, int, str]  # the adapter, the number of its pair, the side
Replies = dict[str, Where]  # to one prompt, by content


class Reference:
    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder / f"reference-{_hash(identity)}"
        self.known: dict[str, float] = {}

    def fill(
        self, asked: dict[str, Pairs], score: Callable[[list[list[Where]]], list[list[float]]], run: Run, *, rows: int
    ) -> dict[str, int]:
        """Computes what is missing, so many prompts with their replies at once, shared out over the ranks.

        What stands together in a forward pass does not depend on what is there already: a kill changes no bit of it.
        """
        from tqdm.auto import tqdm

        self._look()
        if run.is_main:
            self._sweep()
        run.wait()  # every rank has looked before the first one writes
        prompts = list(_different(asked).values())
        parts = [prompts[first : first + rows] for first in range(0, len(prompts), rows)]
        missing = [part for part in parts if any(key not in self.known for replies in part for key in replies)]
        mine = missing[run.rank :: run.ranks]
        waiting: dict[str, float] = {}
        with tqdm(total=sum(map(_replies, mine)), desc="reference", unit="reply", disable=not run.is_main) as bar:
            for part in mine:
                found = score([list(replies.values()) for replies in part])
                for replies, values in zip(part, found, strict=True):
                    waiting |= zip(replies, values, strict=True)
                bar.update(_replies(part))
                if len(waiting) >= PER_FILE or part is mine[-1]:
                    self._write(waiting)
                    waiting = {}
        run.wait()
        self._look()
        return {
            "replies": sum(2 * len(pairs) for pairs in asked.values()),
            "replies_different": _replies(prompts),
            "replies_computed": sum(map(_replies, missing)),
        }

    def of(self, pairs: Pairs) -> list[tuple[float, float]]:
        def known(number: int, side: str) -> float:
            return self.known[_hash(list(pairs.told(number, side)))]

        return [(known(number, "chosen"), known(number, "rejected")) for number in range(len(pairs))]

    def remove(self) -> None:
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def _sweep(self) -> None:
        """Away with what a killed run asked another base."""
        for folder in self.folder.parent.glob("reference-*"):
            if folder != self.folder:
                shutil.rmtree(folder)

    def _look(self) -> None:
        for path in self.folder.glob("*.json"):
            self.known |= json.loads(path.read_text())

    def _write(self, found: dict[str, float]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / f"{uuid.uuid4().hex}.json", found)


def _different(asked: dict[str, Pairs]) -> dict[str, Replies]:
    prompts: dict[str, Replies] = {}
    for name, pairs in asked.items():
        for number in range(len(pairs)):
            for side in SIDES:
                prompt, reply = pairs.told(number, side)
                prompts.setdefault(_hash(prompt), {}).setdefault(_hash([prompt, reply]), (name, number, side))
    return prompts


def _replies(prompts: list[Replies]) -> int:
    return sum(map(len, prompts))


def _hash(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]
