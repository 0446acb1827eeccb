"""Hashes of pictures that look the same are near, of others far; groups are those of brute force; the best is kept."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image, ImageEnhance
from skimage import data

from tamis import arms, near_duplicates, scorers, select
from tamis.config import ConfigError
from tamis.near_duplicates import near_duplicate_groups
from tamis.scorers.duplicates import Duplicates
from tamis.scoring import attach_scores
from tamis.tie_breaks import tie_break


def apart(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def hexadecimal(numbers) -> list[str]:
    return [f"{int(number):016x}" for number in numbers]


def flipped(numbers: np.random.Generator, code: int, bits: int) -> int:
    for bit in numbers.choice(64, bits, replace=False).tolist():
        code ^= 1 << bit
    return code


def by_brute_force(hashes: list[str | None], distance: int) -> list[int]:
    """Flood fill over all pairs."""
    groups: list[int | None] = [None] * len(hashes)
    for row in range(len(hashes)):
        if groups[row] is not None:
            continue
        groups[row] = max((group for group in groups if group is not None), default=-1) + 1
        waiting = [row]
        while waiting:
            one = waiting.pop()
            for other, value in enumerate(hashes):
                if groups[other] is None and None not in (value, hashes[one]) and apart(value, hashes[one]) <= distance:
                    groups[other] = groups[row]
                    waiting.append(other)
    return groups


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    return [Image.fromarray(photograph()) for photograph in (data.astronaut, data.chelsea, data.coffee, data.rocket)]


def test_copies_are_near_and_others_far(photographs, encoded):
    scorer = Duplicates()

    def hash_of(image) -> str:
        return scorer.prepare({"image": image})["hash"]

    for picture in photographs:
        for copy in (
            encoded(picture, "JPEG", quality=40),
            picture.resize((picture.width // 3, picture.height // 3)),
            ImageEnhance.Brightness(picture).enhance(1.1),
        ):
            assert apart(hash_of(picture), hash_of(copy)) <= 4
    for left, right in itertools.combinations(photographs, 2):
        assert apart(hash_of(left), hash_of(right)) > 12


def test_blank_pictures_of_any_colour_and_size_are_one(photographs):
    colours = ["white", "red", "grey", (13, 77, 201)]
    blank = [Image.new("RGB", (50 + number, 40), colour) for number, colour in enumerate(colours)]
    hashes = [Duplicates().prepare({"image": picture})["hash"] for picture in [*blank, photographs[0]]]
    assert near_duplicate_groups(hashes, 0).tolist() == [0, 0, 0, 0, 1]


def test_the_hash_is_the_librarys(photographs):
    from imagehash import phash

    for size in (8, 16):
        value = Duplicates(hash_size=size).prepare({"image": photographs[0]})["hash"]
        assert value == str(phash(photographs[0], hash_size=size))
        assert len(value) == size * size // 4


def test_odd_images_get_a_hash_or_a_reason(run, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    scored = attach_scores(dataset_of(list(contents)), Duplicates(), run=run, batch_size=4)
    assert scored.column_names == ["row_id", "image", "duplicates_hash", "duplicates_error"]
    assert scored["duplicates_error"] == list(reasons)
    hashes = scored["duplicates_hash"][:]
    assert [value is None for value in hashes] == [reason is not None for reason in reasons]
    assert {len(value) for value in hashes if value is not None} == {16}
    # The same picture in other encodings is one group; unreadable rows are groups of their own.
    groups = near_duplicate_groups(hashes, 6)
    kinds = list(odd_images)
    assert len({groups[kinds.index(kind)] for kind in ("plain", "cmyk", "palette", "16 bit", "alpha", "animated")}) == 1
    assert len({groups[row] for row, value in enumerate(hashes) if value is None}) == hashes.count(None)


def test_hash_size_is_refused_by_name():
    with pytest.raises(ConfigError, match="hash_size: 7 is not accepted"):
        scorers.build([{"scorer": "duplicates", "hash_size": 7}])


@pytest.mark.parametrize("limits", [(4096, 64, 256), (8, 2, 3), (2, 1, 1), (16, 4, 0)])
def test_groups_are_those_of_brute_force(monkeypatch, limits):
    """Also with limits so low that 80 hashes take every path: bands within bands, floods that give up."""
    for name, limit in zip(("PAIRWISE", "SHORT_RUN", "FLOOD_EFFORT"), limits, strict=True):
        monkeypatch.setattr(near_duplicates, name, limit)
    for seed in range(6):
        numbers = np.random.default_rng(seed)
        centres = np.repeat(numbers.integers(0, 2**64, 7, dtype=np.uint64), 12).tolist()
        codes = [flipped(numbers, centre, int(numbers.integers(0, 7))) for centre in centres]
        if seed % 2:
            codes = [code & 0x0000_FF00_0FF0_0000 for code in codes]  # few bits vary, as in blank pictures
        hashes: list[str | None] = hexadecimal(codes)
        hashes[3] = hashes[40] = None
        for distance in (0, 1, 4, 7):
            assert near_duplicate_groups(hashes, distance).tolist() == by_brute_force(hashes, distance)


def test_long_hashes_and_small_sets():
    assert near_duplicate_groups([], 4).tolist() == []
    assert near_duplicate_groups([None, None], 4).tolist() == [0, 1]
    assert near_duplicate_groups(["0" * 16], 4).tolist() == [0]
    long = ["0" * 64, "0" * 63 + "1", "f" * 64, None, "f" * 63 + "7"]
    assert near_duplicate_groups(long, 1).tolist() == [0, 0, 1, 2, 1]


def test_unfit_hashes_and_distances_are_refused():
    with pytest.raises(ValueError, match="different hash sizes"):
        near_duplicate_groups(["0" * 16, "0" * 64], 4)
    with pytest.raises(ValueError, match="distance: 17 is not accepted; expected 0 to 16"):
        near_duplicate_groups(["0" * 16, "1" * 16], 17)


def _hundred_thousand() -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    rows = 100_000
    spread = numbers.integers(0, 2**64, rows, dtype=np.uint64)
    for row in range(1000):
        spread[rows - 1 - row] = flipped(numbers, int(spread[row]), 3)
    nearly_blank = np.zeros(rows, dtype=np.uint64)
    for _ in range(3):
        nearly_blank |= np.uint64(1) << numbers.integers(0, 64, rows, dtype=np.uint64)
    return {
        "random, with 1000 pairs planted": spread,
        "all the same": np.full(rows, 7, dtype=np.uint64),
        "nearly blank, at most 3 bits set": nearly_blank,
        "a fifth of the bits constant": numbers.integers(0, 2**51, rows, dtype=np.uint64),
        "20 bits vary": numbers.integers(0, 2**20, rows, dtype=np.uint64),
    }


def test_a_hundred_thousand_take_seconds_whatever_they_are():
    """All pairs would be five billion comparisons. The bound is ten times what the slowest needed on two cores."""
    found = {}
    for kind, codes in _hundred_thousand().items():
        hashes = hexadecimal(codes)
        started = time.perf_counter()
        found[kind] = near_duplicate_groups(hashes, 4)
        assert time.perf_counter() - started < 25, kind
    planted = found["random, with 1000 pairs planted"]
    assert (planted[:1000] == planted[::-1][:1000]).all()
    assert planted.max() + 1 == 99_000
    assert found["all the same"].max() == found["nearly blank, at most 3 bits set"].max() == 0


@pytest.fixture
def scored() -> Dataset:
    near, far = "00000000000000ff", "ff00ff00ff00ff00"
    rows = [
        ("a", near, 0.2),
        ("b", near, 0.9),
        ("c", far, None),
        ("d", None, 0.1),
        ("e", "00000000000000fe", float("nan")),
        ("f", far, 0.3),
        ("g", None, None),
    ]
    ids, hashes, values = map(list, zip(*rows, strict=True))
    return Dataset.from_dict({"row_id": ids, "duplicates_hash": hashes, "score": values})


def best_of_each(dataset, hash_column, distance, seed=0):
    pool = arms.with_near_duplicates(dataset, hash_column, distance)
    return select.top_k(pool, "score", k=1000, at_most=True, seed=seed, one_of_each=arms.NEAR_DUPLICATES)


def test_the_best_of_each_group_is_kept_in_order(scored):
    """c and g: nothing in their groups has a score, or something better is in it."""
    assert best_of_each(scored, "duplicates_hash", 2)["row_id"][:] == ["b", "d", "f"]


def test_ties_are_broken_by_the_seeded_hash_of_row_id():
    names = [f"row-{number}" for number in range(20)]
    dataset = Dataset.from_dict({"row_id": names, "hash": ["0" * 16] * 20, "score": [0.5] * 20})
    winners = set()
    for seed in range(5):
        kept = best_of_each(dataset, "hash", 0, seed=seed)
        assert kept["row_id"][:] == [names[int(np.argmin(tie_break(names, seed)))]]
        winners.update(kept["row_id"])
    assert len(winners) > 1


def test_groups_can_be_published_beside_the_hashes(scored):
    assert near_duplicate_groups(scored["duplicates_hash"][:], 2).tolist() == [0, 0, 1, 2, 0, 1, 3]
    labelled = arms.with_near_duplicates(scored, "duplicates_hash", 2)
    assert labelled[arms.NEAR_DUPLICATES][:] == [0, 0, 1, 2, 0, 1, 3]


def test_finding_groups_imports_no_torch():
    import ast
    import inspect

    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(inspect.getsource(near_duplicates)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not any(name.split(".")[0] in ("torch", "transformers", "accelerate") for name in imported)
    assert not any(name.startswith("tamis") for name in imported)
