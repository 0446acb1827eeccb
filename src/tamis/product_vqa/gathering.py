"""Where the questions come from: a dataset of the Hub, CSV files, or a catalogue of which a judge writes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.product_vqa import splits
from tamis.product_vqa.csv_files import read_csv
from tamis.product_vqa.listings import read_listings
from tamis.product_vqa.questions import Columns, pictures, question_features, read_questions, to_questions
from tamis.scoring import attach_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset, Features

    from tamis.product_vqa.settings import ProductVqaSettings
    from tamis.run import Run
    from tamis.scoring import Scorer
    from tamis.sources import Source

    Found = tuple[Dataset, dict[str, int], list[Source]]


@dataclass(frozen=True)
class Gathered:
    questions: Dataset  # question_features(), and picture: one name for all ids and files of one picture
    refused: dict[str, int]  # rows, or products and questions of them, that were not used, by reason
    sources: list[Source]

    def said(self) -> list[str]:
        told = f"{len(self.questions):,} questions about {len(set(self.questions['picture'][:])):,} pictures"
        return [told, *(f"not used: {count:,}: {reason}" for reason, count in self.refused.items())]


def features() -> Features:
    """What scorers of the questions find, whatever they come from."""
    from datasets import Value

    return question_features() | {"picture": Value("string")}


def gather(config: Any, writers: Sequence[Scorer], run: Run) -> Gathered:
    """config: the recipe's settings. writers: the scorer that writes questions, of a catalogue."""
    with run.stage("read") as stage:
        table, refused, sources = _written(config, writers[0], run) if writers else _read(config, run)
        stage["rows"] = len(table)
    named = splits.same_picture(table["image_id"][:], pictures(table))
    return Gathered(table.add_column("picture", named), refused, sources)


def dealt(questions: Dataset, names: Sequence[str]) -> dict[str, Dataset]:
    """The rows of each split, which a name for each row tells; flattened, so that scores can be attached to them."""
    rows = {split: [row for row, name in enumerate(names) if name == split] for split in splits.SHARES}
    return {split: questions.select(some).flatten_indices() for split, some in rows.items()}


def _read(config: ProductVqaSettings, run: Run) -> Found:
    if config.images_folder is not None:
        read = read_csv(config.dataset, config.images_folder, limit=config.limit)
        run.cite(read.source, rows=len(read.table))
        return read.table, read.refused, [read.source]
    read = read_questions(
        config.dataset,
        run=run,
        columns=_columns(config),
        config_name=config.dataset_config,
        splits=config.read_splits,
        revision=config.revision,
        limit=config.limit,
        id_column=config.id_column,
    )
    return read.table, read.refused, [read.source]


def _columns(config: ProductVqaSettings) -> Columns:
    names = ("image", "question", "answer", "difficulty", "image_id", "product_id", "title", "bullets")
    return Columns(**{name: getattr(config, f"{name}_column") for name in names})


def _written(config: ProductVqaSettings, writer: Scorer, run: Run) -> Found:
    listings, left_out = read_listings(
        config.listings,
        run,
        revision=config.revision,
        locale=config.locale,
        image_size=config.image_size,
        limit=config.limit,
    )
    listings = attach_scores(listings, writer, run=run, batch_size=config.batch_size)
    models.release()
    made = to_questions(listings, writer.name)
    refused = Counter(left_out) + Counter(made.refused)
    for row in listings[f"{writer.name}_left_out"][:]:
        for one in row or ():
            refused[f"written: {one['reason']}"] += one["count"]
    refused.update(f"no question: {why}" for why in listings[f"{writer.name}_error"][:] if why is not None)
    return made.table, dict(refused.most_common()), _sources_of(config.listings, run)


def _sources_of(path: str, run: Run) -> list[Source]:
    from tamis.sources import Source

    names = {path, Path(path).name}
    cited = [dict(one) for one in run.sources if one["repo_id"] in names and one["repo_type"] == "dataset"]
    return [Source(**{key: value for key, value in one.items() if key != "rows"}) for one in cited]
