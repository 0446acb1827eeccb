"""Where the questions come from: a dataset of the Hub, CSV files, or a catalogue of which a judge writes them."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.dry_run import elsewhere
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

TRIED = 4  # products of a dry run that questions are written of


@dataclass(frozen=True)
class Gathered:
    questions: Dataset  # question_features(), and picture: one name for all ids and files of one picture
    refused: dict[str, int]  # rows, or products and questions of them, that were not used, by reason
    sources: list[Source]
    products: int | None = None  # in a dry run: of so many, questions of a few alone were written,
    seconds_a_product: float = 0.0  # each of which took so long

    def said(self) -> list[str]:
        told = f"{len(self.questions):,} questions about {len(set(self.questions['picture'][:])):,} pictures"
        return [told, *(f"not used: {count:,}: {reason}" for reason, count in self.refused.items())]


def features() -> Features:
    """What scorers of the questions find, whatever they come from."""
    from datasets import Value

    return question_features() | {"picture": Value("string")}


def gather(config: Any, writers: Sequence[Scorer], run: Run) -> Gathered:
    """config: the recipe's settings. writers: the scorer that writes questions, of a catalogue; in a dry run of a few
    products, since a judge may cost."""
    with ExitStack() as ending:
        if writers and config.dry_run:
            ending.enter_context(elsewhere(run))
        with run.stage("read") as stage:
            found = _written(config, writers[0], run) if writers else _read(config, run)
            stage["rows"] = len(found.questions)
        named = splits.same_picture(found.questions["image_id"][:], pictures(found.questions))
        return replace(found, questions=found.questions.add_column("picture", named))


def dealt(questions: Dataset, names: Sequence[str]) -> dict[str, Dataset]:
    """The rows of each split, which a name for each row tells; flattened, so that scores can be attached to them."""
    rows = {split: [row for row, name in enumerate(names) if name == split] for split in splits.SHARES}
    return {split: questions.select(some).flatten_indices() for split, some in rows.items()}


def _read(config: ProductVqaSettings, run: Run) -> Gathered:
    if config.images_folder is not None:
        read = read_csv(config.dataset, config.images_folder, limit=config.limit)
        source = _of_files(Path(config.dataset))
        run.cite(source, rows=len(read.table))
        return Gathered(read.table, read.refused, [source])
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
    return Gathered(read.table, read.refused, [read.source])


def _of_files(path: Path) -> Source:
    """CSV files: their name, and a hash of what they hold."""
    from tamis.sources import Source

    digest = hashlib.sha256()
    for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return Source(path.resolve().name, "dataset", digest.hexdigest()[:40], None, local=True)


def _columns(config: ProductVqaSettings) -> Columns:
    names = ("image", "question", "answer", "difficulty", "image_id", "product_id", "title", "bullets")
    return Columns(**{name: getattr(config, f"{name}_column") for name in names})


def _written(config: ProductVqaSettings, writer: Scorer, run: Run) -> Gathered:
    listings, left_out = read_listings(
        config.listings,
        run,
        revision=config.revision,
        locale=config.locale,
        image_size=config.image_size,
        limit=config.limit,
    )
    products = len(listings)
    if config.dry_run:
        listings = listings.select(range(min(TRIED, products)))
    started = time.perf_counter()
    listings = attach_scores(listings, writer, run=run, batch_size=config.batch_size)
    seconds = (time.perf_counter() - started) / len(listings)
    models.release()
    made = to_questions(listings, writer.name, readable=config.writer_sees)
    refused = Counter(left_out) + Counter(made.refused)
    for row in listings[f"{writer.name}_left_out"][:]:
        for one in row or ():
            refused[f"written: {one['reason']}"] += one["count"]
    refused.update(why.split(" (")[0] for why in listings[f"{writer.name}_error"][:] if why is not None)
    told = Gathered(made.table, dict(refused.most_common()), _sources_of(config.listings, run))
    return replace(told, products=products, seconds_a_product=seconds) if config.dry_run else told


def _sources_of(path: str, run: Run) -> list[Source]:
    from tamis.sources import Source

    names = {path, Path(path).name}
    cited = [dict(one) for one in run.sources if one["repo_id"] in names and one["repo_type"] == "dataset"]
    return [Source(**{key: value for key, value in one.items() if key != "rows"}) for one in cited]
