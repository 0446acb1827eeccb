"""The datasets of the embedded world, as anybody loads them from the Hub."""

from __future__ import annotations

import ast
import hashlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_rows import BY_NAME, load, made, rows_of
from huggingface_hub import DatasetCard

import tamis
from tamis.tiny import world
from tamis.tiny.datasets import DATASETS, key, sources

NAMES = list(BY_NAME)
TABLES = [(name, config) for name in NAMES for config in made(name)]


def pictures(name: str, config: str = "default") -> list[str]:
    """A digest of each picture, as often as it stands in a row."""
    cells = [cell for row in rows_of(name, config) for cell in (row.get("images") or [row.get("image")])]
    return [hashlib.sha256(cell["bytes"]).hexdigest() for cell in cells if cell is not None]


@pytest.mark.parametrize(("name", "config"), TABLES)
def test_every_table_loads_with_the_columns_and_rows_that_were_made(name: str, config: str):
    table, loaded = made(name)[config], load(name, config)
    assert {split: len(rows) for split, rows in loaded.items()} == {split: len(r) for split, r in table.splits.items()}
    for split, rows in loaded.items():
        assert list(rows[0]) == list(table.columns)
        for column, (kind, _) in table.columns.items():
            if kind in ("string", "int64", "bool"):
                assert [row[column] for row in rows] == [row.get(column) for row in table.splits[split]]


def test_pictures_decode_and_stay_small():
    from datasets import load_dataset

    first = load_dataset("tiny/commons", split="train")[0]["image"]
    assert first.size == (world.SIDE, world.SIDE) and first.mode == "RGB"
    sizes = [
        len(row["image"]["bytes"])
        for name, config in TABLES
        for row in rows_of(name, config)
        if row.get("image") is not None
    ]
    assert max(sizes) < 16_000 and sum(sizes) < 40_000_000


def test_rows_do_not_depend_on_the_process():
    code = (
        "import hashlib; from tamis.tiny.datasets import DATASETS\n"
        "print([hashlib.sha256(repr(one.tables()).encode()).hexdigest() for one in DATASETS])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ast.literal_eval(said.stdout) == [hashlib.sha256(repr(made(name)).encode()).hexdigest() for name in NAMES]


def test_the_key_covers_all_code_that_a_dataset_is_made_by():
    root = Path(tamis.__file__).parent
    for dataset in DATASETS:
        files = {path.relative_to(root.parent).with_suffix("") for path in sources(dataset)}
        covered = {".".join(path.parts) for path in files}
        for path in sources(dataset):
            for imported in _imports(path):
                # Cards only lay out the README's table.
                assert imported in covered | {"tamis.cards"}, f"{path.name} imports {imported}"
    assert len({key(dataset) for dataset in DATASETS}) == len(DATASETS)


def _imports(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tamis"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (Path(tamis.__file__).parents[1] / f"{inner.replace('.', '/')}.py").is_file()
                found.add(inner if is_module else node.module)
    return found


@pytest.mark.parametrize("name", ["commons", "products", "aesthetics", "pool", "benchmark"])
def test_a_dataset_draws_from_its_own_seeds_alone(name: str, monkeypatch: pytest.MonkeyPatch):
    dataset, drawn = BY_NAME[name], []

    def scene(seed: int, **given: Any) -> world.Scene:
        drawn.append(seed)
        return world.scene(seed, **given)

    monkeypatch.setattr(dataset, "scene", scene)
    dataset.tables()
    assert drawn and all(seed in world.SEEDS[name] for seed in drawn)


def test_the_zoo_learns_from_no_dataset():
    zoo = Path(world.__file__).with_name("zoo")
    text = "".join(path.read_text() for path in zoo.glob("*.py"))
    named = set(re.findall(r"SEEDS\[\"(\w+)\"\]", text))
    assert named and named <= {"train", "validation", "test"}


def test_no_picture_stands_in_two_datasets():
    shown = {name: set() for name in NAMES}
    for name, config in TABLES:
        shown[name] |= set(pictures(name, config))
    for one, two in itertools.combinations(NAMES, 2):
        assert not shown[one] & shown[two], f"{one} and {two}"
    for name in ("commons", "aesthetics", "benchmark"):
        assert len(set(pictures(name))) == len(rows_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_cards_say_licence_columns_and_sizes(name: str):
    card = DatasetCard.load(f"tiny/{name}")
    assert card.data.license == "cc0-1.0" and card.data.tags == ["tamis", "synthetic"]
    for config, table in made(name).items():
        assert config in [one["config_name"] for one in card.data.configs]
        for column in table.columns:
            assert f"| `{column}` |" in card.text
        for split, rows in table.splits.items():
            assert f"{split} {len(rows):,}" in card.text
