"""What a frozen vision tower sees in each picture, computed once, in files that are mapped into memory.

Questions share pictures, epochs repeat them, adapters of a sweep and models of several iterations look at the same:
without a cache each of these encodes them again. A picture is known by the hash of its bytes, in a subfolder named by
everything else that decides what is seen in it; files are whole once they have their name. The folder may outlive a
run and be shared by several. Within its budget, what other settings left is removed once its room is needed, the
longest unused first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis.durable import locked, rename_durably

if TYPE_CHECKING:
    from tamis.run import Run

PER_FILE = 64
BYTES_PER_FILE = 64 << 20  # or sooner: pictures of many tokens take megabytes each
ENCODED_AT_ONCE = 8
TOLD = "told"


@dataclass(frozen=True)
class Seen:
    features: torch.Tensor
    told: Any = None  # what else is to be known of the picture, as JSON has it

    @property
    def bytes(self) -> int:
        return self.features.numel() * self.features.element_size()


class VisionCache:
    """As many pictures as the budget holds; the others are encoded whenever they are asked for."""

    def __init__(
        self,
        encode: Callable[[list[str]], list[Seen]],
        folder: Path,
        *,
        gigabytes: float,
        identity: dict[str, Any],
    ) -> None:
        self.encode = encode
        self.whole = folder
        told = json.dumps(identity, sort_keys=True, default=str)
        self.folder = folder / hashlib.sha256(told.encode()).hexdigest()[:32]
        self.limit = int(gigabytes * 1e9)
        self.encoded_again = 0  # pictures, outside of the cache
        self._files: dict[Path, list[str]] = {}  # the pictures of each that is mapped
        self._where: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._look()

    @property
    def kept(self) -> Collection[str]:
        return self._where.keys()

    @property
    def bytes(self) -> int:
        return _bytes(self.folder)

    def told(self, digest: str) -> Any:
        """What the encoder told of a picture that is kept."""
        return self._told[digest]

    def fill(self, wanted: Collection[str], run: Run) -> int:
        """Encodes what is missing, shared out over the ranks, until the budget is spent; how many it were here."""
        from tqdm.auto import tqdm

        run.wait()
        self._look()
        missing = [digest for digest in dict.fromkeys(wanted) if digest not in self._where]
        run.wait()  # every rank has looked before the first one writes
        if self.limit == 0 or not missing:
            return 0
        mine = missing[run.rank :: run.ranks]
        encoded, waiting = 0, {}
        with tqdm(total=len(mine), desc="features", unit="image", disable=not run.is_main) as bar:
            for first in range(0, len(mine), ENCODED_AT_ONCE):
                some = mine[first : first + ENCODED_AT_ONCE]
                waiting |= dict(zip(some, self.encode(some), strict=True))
                encoded += len(some)
                bar.update(len(some))
                due = len(waiting) >= PER_FILE or sum(one.bytes for one in waiting.values()) >= BYTES_PER_FILE
                if due or first + ENCODED_AT_ONCE >= len(mine):
                    if not self._write(waiting, set(wanted)):
                        break
                    waiting = {}
        run.wait()
        self._look()
        return encoded

    def features(self, digests: list[str]) -> list[torch.Tensor]:
        """Of each; a picture that several ask for is encoded once."""
        others = [digest for digest in dict.fromkeys(digests) if digest not in self._where]
        found = {digest: self._where[digest].get_tensor(digest) for digest in digests if digest in self._where}
        for first in range(0, len(others), ENCODED_AT_ONCE):
            some = others[first : first + ENCODED_AT_ONCE]
            found |= {digest: one.features for digest, one in zip(some, self.encode(some), strict=True)}
        self.encoded_again += len(others)
        return [found[digest] for digest in digests]

    def close(self) -> None:
        for known in (self._files, self._where, self._told):
            known.clear()

    def _look(self) -> None:
        """Maps what is there, and no more what is gone. A file that lost its name stays readable to who mapped it."""
        from safetensors import SafetensorError, safe_open

        there = set(self.folder.glob("*.features"))
        if there:
            os.utime(self.folder)  # used now
        for path in self._files.keys() - there:
            for digest in self._files.pop(path):
                self._where.pop(digest, None)
                self._told.pop(digest, None)
        for path in there - self._files.keys():
            try:
                file = safe_open(path, framework="pt")
            except FileNotFoundError:  # its room was needed by another run
                continue
            except SafetensorError as error:
                raise OSError(f"{path.name}: not as it was written ({error}); delete it") from error
            self._files[path] = list(file.keys())
            self._where |= dict.fromkeys(self._files[path], file)
            told = json.loads(file.metadata()[TOLD])
            # Most pictures of a set are told the same: one text for all of them.
            self._told |= {key: sys.intern(one) if isinstance(one, str) else one for key, one in told.items()}

    def _write(self, seen: dict[str, Seen], wanted: set[str]) -> bool:
        """As many of these as there is room for; whether it were all."""
        from safetensors.torch import save

        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.whole / ".lock"):
            self._sweep()
            for count in range(len(seen), 0, -1):
                some = dict(list(seen.items())[:count])
                if sum(one.bytes for one in some.values()) > self.limit:
                    continue
                content = save(
                    {digest: one.features.cpu().contiguous() for digest, one in some.items()},
                    metadata={TOLD: json.dumps({digest: one.told for digest, one in some.items()})},
                )
                if self._make_room(len(content), wanted):
                    path = self.folder / f"{hashlib.sha256(json.dumps(list(some)).encode()).hexdigest()[:32]}.features"
                    partial = path.with_name(f".{path.name}.partial")
                    partial.write_bytes(content)
                    rename_durably(partial, path)
                    return count == len(seen)
        return False

    def _make_room(self, needed: int, wanted: set[str]) -> bool:
        removable = self._removable(wanted)
        while _bytes(self.whole) + needed > self.limit:
            try:
                path = next(removable)
            except StopIteration:
                return False
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return True

    def _removable(self, wanted: set[str]) -> Iterator[Path]:
        """What other settings left, the longest unused first; then pictures of these that no one asks for now."""
        others = (path for path in self.whole.iterdir() if path.is_dir() and path != self.folder)
        yield from sorted(others, key=lambda path: path.stat().st_mtime)
        for path, digests in list(self._files.items()):
            if path.is_file() and wanted.isdisjoint(digests):
                yield path

    def _sweep(self) -> None:
        """Away with what killed runs left half-written; whoever holds the lock is the only one that writes."""
        for path in self.whole.glob("*/.*.partial"):
            path.unlink(missing_ok=True)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.features"))


def remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
