"""Stacks that are being trained, on disk: which adapters they hold, and where they are.

A stack that was begun is gone on with as it was, the same adapters in the same order: only so is a resume exact.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tamis.durable import rename_durably, write_json


@dataclass(frozen=True)
class Stack:
    """Adapters that train together, for equally many steps."""

    names: list[str]
    steps: int


@dataclass(frozen=True)
class Checkpoint:
    """One stack's: a note of what it is of, and its state."""

    path: Path
    keys: list[tuple[str, str]]  # name and key of every adapter, in order
    steps: int

    def save(self, state: dict[str, Any]) -> None:
        import torch

        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._note.is_file():
            write_json(self._note, {"adapters": self.keys, "steps": self.steps})
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        torch.save(state, partial)
        rename_durably(partial, self.path)

    def load(self) -> dict[str, Any] | None:
        import torch

        if not self.path.is_file():
            return None
        return torch.load(self.path, map_location="cpu", weights_only=True)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @property
    def stack(self) -> Stack:
        return Stack([name for name, _ in self.keys], self.steps)

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")


def checkpoint_of(stack: Stack, folder: Path, keys: dict[str, str]) -> Checkpoint:
    told = [(name, keys[name]) for name in stack.names]
    digest = hashlib.sha256(json.dumps([told, stack.steps]).encode()).hexdigest()[:32]
    return Checkpoint(folder / f"{digest}.pt", told, stack.steps)


def begun(folder: Path, keys: dict[str, str], unfinished: list[str]) -> list[Stack]:
    """Stacks to go on with: all their adapters are wanted as they were begun, and not all are finished.

    What killed runs left half-written goes, and so do stacks whose adapters are all finished.
    """
    for path in folder.glob(".*.partial"):
        path.unlink(missing_ok=True)
    found: list[Stack] = []
    taken: set[str] = set()
    for checkpoint in _checkpoints(folder):
        names = set(checkpoint.stack.names)
        if not dict(checkpoint.keys).items() <= keys.items() or names & taken:
            continue
        if not names & set(unfinished):
            checkpoint.remove()
        elif checkpoint.path.is_file():
            found.append(checkpoint.stack)
            taken |= names
    return found


def formed(steps: dict[str, int], largest: int) -> list[Stack]:
    """Adapters of equally many steps together, so many at once."""
    alike: dict[int, list[str]] = defaultdict(list)
    for name, count in steps.items():
        alike[count].append(name)
    return [
        Stack(names[first : first + largest], count)
        for count, names in alike.items()
        for first in range(0, len(names), largest)
    ]


def _checkpoints(folder: Path) -> Iterator[Checkpoint]:
    for note in sorted(folder.glob("*.json")):
        about = json.loads(note.read_text())
        yield Checkpoint(note.with_suffix(".pt"), [(name, key) for name, key in about["adapters"]], about["steps"])
