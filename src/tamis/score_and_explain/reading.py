"""Pictures with scores, by whichever reader the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tamis.config import ConfigError
from tamis.score_and_explain.aadb import read_aadb
from tamis.score_and_explain.ava import read_ava
from tamis.score_and_explain.scored_rows import Columns, read_scored
from tamis.score_and_explain.splits import SHARES

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.score_and_explain.ratings import Ratings
    from tamis.score_and_explain.settings import ScoreAndExplainSettings


def read(config: ScoreAndExplainSettings, run: Run) -> Ratings:
    if config.kind == "ava":
        return read_ava(config.dataset, run=run, limit=config.limit, seed=config.seed)
    if config.kind == "aadb":
        return read_aadb(config.dataset, run=run, image_size=config.image_size, limit=config.limit)
    return read_scored(
        config.dataset,
        run=run,
        columns=Columns(config.image_column, config.score_column, config.votes_column),
        scale=config.scale,
        config_name=config.dataset_config,
        splits=config.read_splits,
        revision=config.revision,
        limit=config.limit,
        id_column=config.id_column,
        keep=config.keep_columns,
        seed=config.seed,
    )


def said(ratings: Ratings) -> str:
    """What was read, in a line."""
    splits = ratings.table["split"][:]
    told = ", ".join(f"{splits.count(split)} {split}" for split in dict.fromkeys(splits))
    refused = "".join(f"; {count} not read: {reason}" for reason, count in ratings.refused.items())
    return f"{len(ratings.table)} pictures ({told}){refused}"


def parts(ratings: Ratings) -> dict[str, Dataset]:
    """The pictures by split; scorers add their columns beside, and want rows as they are stored."""
    splits = ratings.table["split"][:]
    if missing := [split for split in SHARES if split not in splits]:
        raise ConfigError(f"read_splits: no picture is in {', '.join(missing)}; expected {', '.join(SHARES)}")
    found = {}
    for split in SHARES:
        rows = [at for at, one in enumerate(splits) if one == split]
        some = ratings.table.select(rows)
        found[split] = some.flatten_indices() if some._indices is not None else some
    return found
