"""What a frozen vision tower sees in each picture, computed once, in files that are mapped into memory.

Questions share pictures, epochs repeat them, adapters of a sweep learn from the same: without a cache each of these
encodes them again. Files are named by everything that decides what they hold, and are whole once they have their name;
they lie with the run's checkpoints, and go when its adapters are finished.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis.durable import rename_durably

if TYPE_CHECKING:
    from tamis.run import Run
    from tamis.training.vqa_rows import Pictures

PER_FILE = 64
ENCODED_AT_ONCE = 8


class VisionCache:
    """The first pictures of a list, as many as the budget holds; the others are encoded whenever they are asked for."""

    def __init__(
        self, pictures: Pictures, digests: list[str], folder: Path, *, gigabytes: float, identity: dict[str, Any]
    ) -> None:
        self.pictures = pictures
        self.folder = folder
        model = pictures.model
        self._shape = model.features_shape
        self._bytes = math.prod(self._shape) * model.dtype.itemsize
        self.kept = digests[: int(gigabytes * 1e9 / self._bytes)]
        self.encoded_again = 0  # pictures, outside of the cache
        told = identity | {"dtype": str(model.dtype), "shape": self._shape}
        self._files = {
            self.folder / f"{hashlib.sha256(json.dumps([told, some]).encode()).hexdigest()[:32]}.features": some
            for some in (self.kept[first : first + PER_FILE] for first in range(0, len(self.kept), PER_FILE))
        }
        self._mapped: dict[str, torch.Tensor] = {}

    def fill(self, wanted: Collection[str], run: Run) -> int:
        """Encodes what is missing of the pictures that are wanted, shared out over the ranks; how many it were here."""
        from tqdm.auto import tqdm

        needed = {path: some for path, some in self._files.items() if not set(wanted).isdisjoint(some)}
        if run.is_main:
            self._sweep()
        run.wait()
        missing = [path for path in needed if not path.is_file()]
        run.wait()  # every rank has looked before the first one writes
        mine = missing[run.rank :: run.ranks]
        encoded = 0
        with tqdm(
            total=sum(map(len, map(needed.get, mine))), desc="features", unit="image", disable=not run.is_main
        ) as bar:
            for path in mine:
                self._write(path, needed[path])
                encoded += len(needed[path])
                bar.update(len(needed[path]))
        run.wait()
        for path, some in needed.items():
            self._mapped |= dict(zip(some, self._map(path, len(some)), strict=True))
        return encoded

    def features(self, digests: list[str]) -> torch.Tensor:
        """(digests, patches, width) on the model's device. A picture that several ask for is encoded once."""
        others = [digest for digest in dict.fromkeys(digests) if digest not in self._mapped]
        found = dict(zip(others, self._encoded(others), strict=True)) if others else {}
        self.encoded_again += len(others)
        device = self.pictures.model.device
        seen = [found[digest] if digest in found else self._mapped[digest] for digest in digests]
        return torch.stack([one.to(device, non_blocking=True) for one in seen])

    @property
    def bytes(self) -> int:
        return len(self.kept) * self._bytes

    def close(self) -> None:
        self._mapped.clear()

    def _encoded(self, digests: list[str]) -> torch.Tensor:
        return self.pictures.model.features(self.pictures.pixels(digests))

    def _write(self, path: Path, digests: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            for first in range(0, len(digests), ENCODED_AT_ONCE):
                seen = self._encoded(digests[first : first + ENCODED_AT_ONCE])
                if seen.shape[1:] != self._shape:
                    raise ValueError(f"vision tower: {tuple(seen.shape[1:])} features, expected {self._shape}")
                seen.cpu().contiguous().view(torch.uint8).numpy().tofile(file)
        rename_durably(partial, path)

    def _map(self, path: Path, pictures: int) -> torch.Tensor:
        if path.stat().st_size != pictures * self._bytes:
            raise OSError(f"{path.name}: {path.stat().st_size} bytes, expected {pictures * self._bytes}; delete it")
        dtype = self.pictures.model.dtype
        flat = torch.from_file(str(path), shared=False, size=pictures * math.prod(self._shape), dtype=dtype)
        return flat.view(pictures, *self._shape)

    def _sweep(self) -> None:
        """Away with what killed runs left half-written, and with what is of other settings or pictures."""
        for path in self.folder.glob("*"):
            if path not in self._files:
                path.unlink()
        for path in self.folder.glob(".*.partial"):
            path.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
