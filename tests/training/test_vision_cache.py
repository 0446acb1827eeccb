"""VisionCache: what it keeps within its budget, for whom it makes room, and that nothing else is taken for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tamis.run import Run
from tamis.training import vision_cache
from tamis.training.vision_cache import Seen, VisionCache

PICTURES = [f"{number:064x}" for number in range(12)]


class Looked:
    """Encodes a picture as its number, in a shape that its number tells, in 256 bytes a unit of length."""

    def __init__(self) -> None:
        self.at: list[str] = []

    def __call__(self, digests: list[str]) -> list[Seen]:
        self.at += digests
        return [Seen(seen(digest), digest[-2:]) for digest in digests]


def seen(digest: str) -> torch.Tensor:
    number = int(digest, 16)
    return torch.full((1 + number % 3, 64), float(number))


def cache(folder: Path, look: Looked, kilobytes: float = 1000.0, **identity: Any) -> VisionCache:
    return VisionCache(look, folder, gigabytes=kilobytes * 1e-6, identity=identity)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_pictures_of_any_shape_are_told_again_by_another_process(tmp_path: Path, run: Run) -> None:
    first = Looked()
    assert cache(tmp_path, first).fill(PICTURES[:5] + PICTURES[:2], run) == 5
    assert sorted(first.at) == PICTURES[:5]
    again = Looked()
    known = cache(tmp_path, again)
    assert known.fill(PICTURES[3:7], run) == 2  # whichever were asked for together before
    assert sorted(again.at) == PICTURES[5:7]
    for digest, found in zip(PICTURES, known.features(PICTURES), strict=True):
        assert torch.equal(found, seen(digest))
    assert (known.encoded_again, known.told(PICTURES[6])) == (5, "06")
    assert again.at[2:] == PICTURES[7:]


def test_of_other_settings_nothing_is_taken(tmp_path: Path, run: Run) -> None:
    cache(tmp_path, Looked(), weights="a").fill(PICTURES, run)
    other = Looked()
    assert cache(tmp_path, other, weights="b").fill(PICTURES, run) == 12
    assert cache(tmp_path, Looked(), weights="a").fill(PICTURES, run) == 0  # both are kept while there is room


def test_the_budget_is_the_folders_and_the_longest_unused_makes_room(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_cache, "PER_FILE", 2)
    monkeypatch.setattr(vision_cache, "ENCODED_AT_ONCE", 2)
    budget, left = 8.0, []
    for age, name in ((300, "old"), (200, "new")):
        made = cache(tmp_path, Looked(), budget, weights=name)
        made.fill(PICTURES[:4], run)
        assert len(made.kept) == 4
        os.utime(made.folder, times=(made.folder.stat().st_mtime - age,) * 2)
        left.append(made.folder)
    old, new = left
    now = cache(tmp_path, Looked(), budget, weights="now")
    now.fill(PICTURES[:6], run)
    assert (len(now.kept), old.exists(), new.exists()) == (6, False, True)
    assert size(tmp_path) <= budget * 1000
    now.fill(PICTURES, run)  # all that fits, of these alone
    assert 6 < len(now.kept) < 12
    assert not new.exists()
    assert size(tmp_path) <= budget * 1000
    for digest, found in zip(PICTURES, now.features(PICTURES), strict=True):
        assert torch.equal(found, seen(digest))
    other = cache(tmp_path, Looked(), 3.0, weights="now")
    other.fill(PICTURES[-2:], run)  # those that no one asks for now make room as well
    assert set(PICTURES[-2:]) <= set(other.kept)


def test_without_a_budget_nothing_is_written(tmp_path: Path, run: Run) -> None:
    none = cache(tmp_path / "none", Looked(), 0.0)
    assert none.fill(PICTURES, run) == 0
    assert torch.equal(none.features(PICTURES[:1])[0], seen(PICTURES[0]))
    assert not (tmp_path / "none").exists()


def test_what_a_kill_left_half_written_is_swept(tmp_path: Path, run: Run) -> None:
    made = cache(tmp_path, Looked())
    made.fill(PICTURES[:1], run)
    (made.folder / ".x.features.partial").write_bytes(b"half")
    cache(tmp_path, Looked()).fill(PICTURES[:2], run)
    assert len(list(made.folder.iterdir())) == 2
