"""Rows to the files of a dataset repository: parquet, a split a file, and the card."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tamis.tiny.world import Scene

Rows = list[dict[str, Any]]
ROWS_A_GROUP = 100  # as datasets does for pictures: a page of the viewer reads one group


@dataclass(frozen=True)
class Table:
    """One config: its columns with type and meaning, and its rows by split. A cell that a row lacks is null.

    Types: a plain type's name, "image" (of a Scene), "turns" (of a conversation), "a|b" (labels), TYPE[] (a list).
    """

    columns: dict[str, tuple[str, str]]
    splits: dict[str, Rows]


def write(folder: Path, *, title: str, about: str, tasks: list[str], tables: dict[str, Table]) -> None:
    """A repository's files in an empty folder: each config's parquet files under data/, and README.md."""
    places = {config: "data" if config == "default" else f"data/{config}" for config in tables}
    for config, table in tables.items():
        for split, rows in table.splits.items():
            _parquet(folder / places[config] / f"{split}-00000-of-00001.parquet", table.columns, rows)
    header = {
        "pretty_name": title,
        "license": "cc0-1.0",
        "language": "en",
        "task_categories": tasks,
        "tags": ["tamis", "synthetic"],  # without the first, publishing over it would be refused
        "size_categories": [_size(sum(len(rows) for table in tables.values() for rows in table.splits.values()))],
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": split, "path": f"{places[config]}/{split}-*"} for split in table.splits],
            }
            for config, table in tables.items()
        ],
    }
    written = yaml.safe_dump(header, sort_keys=False, width=1000)
    parts = [f"---\n{written}---\n# {title}", about.strip(), *_columns_of_all(tables)]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


@lru_cache(maxsize=16)  # several questions in a row show one picture
def png(scene: Scene) -> bytes:
    from PIL import Image

    from tamis.tiny.render import render

    buffer = io.BytesIO()
    Image.fromarray(render(scene)).save(buffer, "PNG")
    return buffer.getvalue()


def _parquet(path: Path, columns: dict[str, tuple[str, str]], rows: Rows) -> None:
    import pyarrow.parquet
    from datasets import Dataset, Features

    features = Features({name: _feature(kind) for name, (kind, _) in columns.items()})
    strange = {name for row in rows for name in row} - set(columns)
    assert not strange, f"{path.name}: no column {sorted(strange)}"
    cells = {name: [_cell(kind, row.get(name)) for row in rows] for name, (kind, _) in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    # By pyarrow: Dataset.to_parquet shows a progress bar for each of the small files.
    table = Dataset.from_dict(cells, features=features).with_format("arrow")[:]
    pyarrow.parquet.write_table(table, path, row_group_size=ROWS_A_GROUP)


def _feature(kind: str) -> Any:
    from datasets import ClassLabel, Image, List, Value

    if kind.endswith("[]"):
        return List(_feature(kind[:-2]))
    if "|" in kind:
        return ClassLabel(names=kind.split("|"))
    if kind == "turns":
        return List({"from": Value("string"), "value": Value("string")})
    return Image() if kind == "image" else Value(kind)


def _cell(kind: str, value: Any) -> Any:
    if kind == "image[]":
        return [_cell("image", one) for one in value]
    if kind == "image" and value is not None:
        return {"bytes": png(value), "path": None}
    return value


def _columns_of_all(tables: dict[str, Table]) -> list[str]:
    """The columns' table, once where all configs have the same."""
    return [
        part
        for config, table in tables.items()
        for part in ([] if config == "default" else [f"## {config}"]) + [_sizes(table), _columns_table(table)]
    ]


def _sizes(table: Table) -> str:
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in table.splits.items())
    return f"Rows: {sizes}."


def _columns_table(table: Table) -> str:
    from tamis.cards import Markdown, code
    from tamis.cards import table as markdown_table

    lines = [[code(name), code(kind), Markdown(says)] for name, (kind, says) in table.columns.items()]
    return markdown_table(["column", "type", "meaning"], lines)


def _size(rows: int) -> str:
    return "n<1K" if rows < 1000 else "1K<n<10K"
