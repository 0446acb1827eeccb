"""The questions that every arm is asked: of one benchmark or of several, in one table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis.config import ConfigError, from_values
from tamis.images import image_bytes
from tamis.scale_select.answering import ASKED_TASK
from tamis.scale_select.benchmarks import LETTERS, read_benchmark
from tamis.scale_select.task_accuracy import task_accuracy

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source


@dataclass(frozen=True)
class Asked:
    """An entry of `benchmarks`."""

    dataset: Annotated[str, "Hub id or folder, in MMBench's, A-OKVQA's or ScienceQA's columns"]
    name: Annotated[str | None, "what it is called; null: as its dataset"] = None
    dataset_config: Annotated[str | None, "which configuration of the dataset"] = None
    split: Annotated[str, "which split"] = "test"
    revision: Annotated[str | None, "branch, tag or commit; null: the newest"] = None
    limit: Annotated[int | None, "the first rows alone"] = None
    id_column: Annotated[str | None, "names the rows; null: they are named by their place"] = None
    text_only: Annotated[bool, "rows without a picture are questions too"] = False

    @property
    def label(self) -> str:
        return self.name or self.dataset.rpartition("/")[2]


@dataclass(frozen=True)
class Exam:
    # benchmark_features(); `benchmark`; `picture`, what tells it apart; `text`, the question as judges of tasks read it
    questions: Dataset
    sources: list[Source]
    refused: dict[str, dict[str, int]]  # by benchmark: rows that cannot be asked, by reason

    def said(self) -> list[str]:
        names = self.questions["benchmark"][:]
        told = [f"{name}: {names.count(name):,} questions" for name in self.refused]
        return told + [
            f"{name}: {rows:,} not asked: {reason}"
            for name, some in self.refused.items()
            for reason, rows in some.items()
        ]


def read(benchmarks: Sequence[dict[str, Any]], run: Run) -> Exam:
    """benchmarks: entries as Asked has them; a row_id is NAME/ID."""
    from datasets import concatenate_datasets

    parts, sources, refused = [], [], {}
    for number, entry in enumerate(benchmarks):
        asked = from_values(Asked, entry, f"benchmarks[{number}]")
        if asked.label in refused:
            raise ConfigError(f"benchmarks: two are named {asked.label!r}; give one of them another name (name: ...)")
        found = read_benchmark(
            asked.dataset,
            run=run,
            config_name=asked.dataset_config,
            split=asked.split,
            revision=asked.revision,
            limit=asked.limit,
            id_column=asked.id_column,
            text_only=asked.text_only,
        )
        parts.append(_named(found.table, asked.label))
        sources.append(found.source)
        refused[asked.label] = found.refused
    return Exam(concatenate_datasets(parts), sources, refused)


def drawn(questions: Dataset, count: int, seed: int) -> Dataset:
    """So many questions with a picture, drawn by seed."""
    from tamis.seeds import seed_of

    row_ids = questions["row_id"][:]
    pictured = [at for at, picture in enumerate(questions["picture"][:]) if picture != row_ids[at]]
    chosen = sorted(pictured, key=lambda at: seed_of("replies", seed, row_ids[at]))[:count]
    return questions.select(sorted(chosen)).flatten_indices()


def _named(rows: Dataset, name: str) -> Dataset:
    from datasets import Dataset, Features, Value, concatenate_datasets

    asked = zip(*(rows[name][:] for name in ("question", "options", "answer")), strict=True)
    made = {
        "row_id": [f"{name}/{row_id}" for row_id in rows["row_id"][:]],
        "benchmark": [name] * len(rows),
        "picture": [
            _content(row["image"]) or f"{name}/{row['row_id']}" for row in rows.select_columns(["row_id", "image"])
        ],
        "text": [as_text(*row) for row in asked],
    }
    beside = Dataset.from_dict(made, features=Features({key: Value("string") for key in made}))
    return concatenate_datasets([beside, rows.remove_columns("row_id")], axis=1)


def as_text(question: str, options: Sequence[str], answer: str) -> str:
    """A question as the pool's text reads: options a line each, and the right one replied."""
    lines = [question, *(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))]
    return f"human: {chr(10).join(lines)}\ngpt: {answer}"


def tasks(read: Dataset, seed: int) -> dict[str, Any] | None:
    """How often a judge read the task that people gave a question; None: no question has one."""
    labels = read["task"][:]
    if not any(labels):
        return None
    found = task_accuracy(read[f"{ASKED_TASK}_subtask"][:], labels, groups=read["picture"][:], seed=seed)
    return {
        "accuracy": asdict(found.overall),
        "categories": asdict(found.categories),
        "by_subtask": {name: asdict(one) for name, one in found.by_subtask.items()},
        "table": found.table(),
        "cut": found.cut,
        "other": found.other,
    }


def _content(picture: Any) -> str | None:
    """What tells pictures apart: several questions may be about one. Questions without one count as one each."""
    nothing = picture is None or (picture.get("bytes") is None and picture.get("path") is None)
    return None if nothing else hashlib.sha256(image_bytes(picture)).hexdigest()[:32]
