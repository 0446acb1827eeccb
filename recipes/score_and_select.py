# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis[sentence]==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "l4x1"
# timeout = "4h"
# secrets = ["HF_TOKEN"]
# ///
r"""Any Hub dataset in, a scored and curated Hub dataset out.

Scores every row with the scorers of the YAML, keeps the best, and publishes the whole scored pool beside the subset,
with a random arm of the same size to hold it against. No claim is made that the subset trains a better model: large
studies found mixing to matter more than filtering, so `per` keeps the mixture and the card shows it before and after.

    accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/score_and_select.py \
        --config recipes/score_and_select.yaml --dataset USER/DATASET --push_to_hub --hub_dataset_id USER/NAME
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tamis.config import ConfigError, RunConfig, parse, plain_errors


@dataclass(kw_only=True)
class ScoreAndSelect(RunConfig):
    output_dir: Annotated[str, "where journal, results.json, report.html and hub/ are written"] = (
        "outputs/score_and_select"
    )
    dataset: Annotated[str, "Hub id, or a local folder of images, parquet, CSV or JSON lines"]
    dataset_config: Annotated[str | None, "config of that dataset"] = None
    split: Annotated[str, "split of that dataset"] = "train"
    revision: Annotated[str | None, "branch, tag or commit; what it resolves to is recorded"] = None
    streaming: Annotated[bool, "read the Hub row by row instead of downloading first; give --limit with it"] = False
    columns: Annotated[list[str] | None, "read only these columns of a parquet dataset"] = None
    id_column: Annotated[str | None, "column whose values become row_id; none: SPLIT-INDEX"] = None
    image_column: Annotated[str | None, "column of images"] = None
    text_column: Annotated[str | None, "column of texts"] = None

    scorers: Annotated[
        list[dict[str, Any] | str], "files of tamis/scorers: FILE, or '{scorer: FILE, setting: value}'"
    ] = field(default_factory=list)
    batch_size: Annotated[int, "rows a model call; halved by itself when memory runs out"] = 32

    select_by: Annotated[str | None, "the score column to keep the best of: numbers, or true/false as 1/0"] = None
    weights: Annotated[
        dict[str, float] | None, "or several, '{column: weight}'; their mean is the new column `score`"
    ] = None
    weights_scale: Annotated[Literal["rank", "raw"], "rank: every column counts by the share of rows it beats"] = "rank"
    k: Annotated[int | None, "rows kept"] = None
    fraction: Annotated[float | None, "or a share of the pool, counted before near-duplicates are left out"] = None
    threshold: Annotated[float | None, "or all rows scored at least this, in the column's own precision"] = None
    band: Annotated[tuple[float, float] | None, "or the rows between two quantiles, 0 worst, 1 best"] = None
    per: Annotated[
        str | None, "column of text or whole numbers whose mixture k or fraction keeps (source, task, ...)"
    ] = None
    deduplicate: Annotated[str | None, "column of perceptual hashes: of near-duplicates the best stays"] = None
    duplicate_distance: Annotated[int, "bits two hashes may differ by and count as near-duplicates"] = 4
    diverse: Annotated[str | None, "column of embeddings: k rows spread out, among the best diverse_pool x k"] = None
    diverse_pool: Annotated[float, "how many times k rows diverse chooses among"] = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least, most in (
            ("batch_size", 1, math.inf),
            ("k", 1, math.inf),
            ("fraction", 1e-9, 1),
            ("threshold", -math.inf, math.inf),
            ("duplicate_distance", 0, 64),
            ("diverse_pool", 1, math.inf),
        ):
            self.refuse_below(name, least, most)
        if self.band and not 0 <= self.band[0] < self.band[1] <= 1:
            raise ConfigError(f"band: {list(self.band)} is not accepted; expected two shares, 0 <= low < high <= 1")
        weights = list((self.weights or {}).values())
        if self.weights is not None and (not sum(weights) or min(weights) < 0):
            raise ConfigError(
                f"weights: {self.weights} is not accepted; expected column: weight, none below 0, some above"
            )
        if (self.select_by is None) == (self.weights is None):
            raise ConfigError("select_by, weights: give one of them (a score column, or several with weights)")
        ways = ("k", "fraction", "threshold", "band")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"{', '.join(ways)}: give one of them, {len(given)} are given ({', '.join(given)})")
        if self.per and given[0] not in ("k", "fraction"):
            raise ConfigError(f"per: goes with k or fraction, not with {given[0]}")
        if self.diverse and (given[0] != "k" or self.per):
            raise ConfigError("diverse: goes with k, and without per")
        self.refuse_unnamed("hub_dataset_id")
        if self.hub_dataset_id == self.dataset:
            raise ConfigError(f"hub_dataset_id: {self.dataset!r} is the source; the result needs an id of its own")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(ScoreAndSelect, argv, description=__doc__)
    from tamis import arms, cards, dry_run, hub, models, rows, scorers, select
    from tamis.curation import Curation
    from tamis.run import Run
    from tamis.scoring import attach_scores, refuse_unfit

    scoring = scorers.build(config.scorers, image_column=config.image_column, text_column=config.text_column)
    run = Run(config.output_dir, recipe="score_and_select", config=config, seed=config.seed, report_to=config.report_to)

    # ---- 1. Read -----------------------------------------------------------------------------------------------------
    with run.stage("read") as stage:
        pool, source = rows.read_rows(
            config.dataset,
            run=run,
            config_name=config.dataset_config,
            split=config.split,
            revision=config.revision,
            streaming=config.streaming or config.dry_run,
            limit=dry_run.ROWS if config.dry_run else config.limit,
            id_column=config.id_column,
            columns=config.columns,
            needs=(config.image_column, config.text_column),
        )
        stage["rows"] = len(pool)
    if config.weights:
        pool = arms.without_score(pool)
    ranked = {"select_by": config.select_by} | {f"weights: {name}": name for name in config.weights or {}}
    used = {"per": config.per, "deduplicate": config.deduplicate, "diverse": config.diverse}
    refuse_unfit(pool.features, scoring, ranked=ranked, used=used)
    rows.refuse_non_images(pool.features, config.image_column)
    if config.dry_run:
        extent = rows.extent(config.dataset, source, config_name=config.dataset_config, split=config.split)
        figures = dry_run.estimate(pool, scoring, extent, run=run, batch_size=config.batch_size, limit=config.limit)
        dry_run.show(run, figures)
        run.close()
        return {"dry_run": dict(figures)}
    if config.k is not None and config.k > len(pool):
        raise ConfigError(f"k: {config.k} rows were asked for, the dataset has {len(pool)}")
    if config.push_to_hub:  # may we write there? Asked before hours are spent
        hub.claim(run, config.hub_dataset_id, "dataset", private=config.hub_private_repo)

    # ---- 2. Score ----------------------------------------------------------------------------------------------------
    for scorer in scoring:
        pool = attach_scores(pool, scorer, run=run, batch_size=config.batch_size)
    models.release()

    # ---- 3. Select ---------------------------------------------------------------------------------------------------
    by = config.select_by or "score"
    if config.weights:
        pool = select.with_weighted(pool, config.weights, by, scale=config.weights_scale)
    if config.deduplicate:
        pool = arms.with_near_duplicates(pool, config.deduplicate, config.duplicate_distance)
    kept, cut = _kept(pool, by, config)
    # The arms that say whether the score means anything: as many rows, drawn, and the worst.
    size = f"{config.fraction * 100:g}pct" if config.fraction else str(len(kept))
    best, drawn, worst = f"{_way(config)}-{size}", f"random-{size}", f"bottom-{size}"
    subsets = {
        best: kept,
        drawn: select.random_k(pool, k=len(kept), per=config.per, seed=config.seed, among=by),
        worst: select.bottom_k(pool, by, k=len(kept), per=config.per, seed=config.seed),
    }
    pool = arms.with_arms(pool, subsets)

    # ---- 4. Train ----------------------------------------------------------------------------------------------------
    # Nothing is trained here. What the selection bought is measured on the scores, the selecting one among them.
    measured = [column for scorer in scoring for column in scorer.columns] + [*(config.weights or {}), by]
    measured = arms.numeric(pool, measured)
    run.nulls = arms.nulls(pool, measured, weighted=[by] if config.weights else ()) | run.nulls
    found = run.from_main(arms.measure(pool, subsets, measured, seed=config.seed) if run.is_main else None)
    results = run.results(arms=found["arms"], comparisons=found["comparisons"])

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    if run.is_main:
        repo_id = config.hub_dataset_id or hub.unpushed_id(config.dataset, "curated")
        curation = Curation(
            repo_id=repo_id,
            source=source,
            pool=pool,
            subsets=subsets,
            by=by,
            measured=measured,
            scorers=scoring,
            results=results,
            cut=cut,
            seed=config.seed,
            image_column=config.image_column,
            text_column=config.text_column,
            per=config.per,
            deduplicated=bool(config.deduplicate),
        )
        pictures = curation.pictures()
        page = curation.page(pictures)
        (run.output_dir / "report.html").write_text(page, encoding="utf-8")
        published = hub.publish_dataset(
            run,
            repo_id,
            {"scores": pool, **subsets},
            curation.card(cards.template("dataset_cards/curated.md.jinja")),
            pictures | {"report.html": page},
            push=config.push_to_hub,
            private=config.hub_private_repo,
        )
        arms.show(run, results["arms"], measured)
        hub.show(run, published, load=["scores", best])
    run.say(run.finish(results))
    return results


def _way(config: ScoreAndSelect) -> str:
    names = {"diverse": config.diverse, "band": config.band, "above": config.threshold is not None}
    return next((name for name, given in names.items() if given), "top")


def _kept(pool: Any, by: str, config: ScoreAndSelect) -> tuple[Any, Any]:
    """The rows kept, and the cut that says which; None for rows chosen to differ, which no single cut tells."""
    from tamis import arms, select

    how = {"seed": config.seed, "one_of_each": arms.NEAR_DUPLICATES if config.deduplicate else None}
    if config.diverse:
        wide = select.top_k(pool, by, k=round(config.k * config.diverse_pool), at_most=True, **how)
        return select.diverse(wide, config.diverse, k=config.k, by=by, seed=config.seed), None
    if config.threshold is not None:
        cut = select.at_least(pool, by, config.threshold, **how)
    elif config.band:
        cut = select.between(pool, by, *config.band, **how)
    else:
        cut = select.best(pool, by, k=config.k, fraction=config.fraction, per=config.per, **how)
    return select.take(pool, cut), cut


if __name__ == "__main__":
    with plain_errors():
        main()
