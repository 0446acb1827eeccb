"""Pictures with scores, by whichever reader the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tamis.score_and_explain.aadb import read_aadb
from tamis.score_and_explain.ava import read_ava
from tamis.score_and_explain.scored_rows import Columns, read_scored

if TYPE_CHECKING:
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
