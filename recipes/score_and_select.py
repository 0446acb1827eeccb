# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis[sentence]==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "l4x1"
# timeout = "4h"
# secrets = ["HF_TOKEN"]
# ///
"""Any Hub dataset in, a scored and curated Hub dataset out.

Scores every row with the scorers of the YAML, keeps the best, and publishes the whole scored pool beside the subset,
with a random arm of the same size to hold it against. No claim is made that the subset trains a better model: large
studies found mixing to matter more than filtering, so `per` keeps the mixture and the card shows it before and after.

    accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/score_and_select.py \
        --config recipes/score_and_select.yaml --dataset USER/DATASET --push_to_hub --hub_dataset_id USER/NAME
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
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

    scorers: Annotated[list[dict[str, Any]], "each {scorer: FILE in tamis/scorers, and its settings}"] = field(
        default_factory=list
    )
    batch_size: Annotated[int, "rows a model call; halved by itself when memory runs out"] = 32

    select_by: Annotated[str | None, "the score column to keep the best of"] = None
    weights: Annotated[dict[str, float] | None, "or several, column: weight; their mean is the column `score`"] = None
    weights_scale: Annotated[Literal["rank", "raw"], "rank: every column counts by the share of rows it beats"] = "rank"
    k: Annotated[int | None, "rows kept"] = None
    fraction: Annotated[float | None, "or a share of the pool"] = None
    threshold: Annotated[float | None, "or all rows scored at least this"] = None
    band: Annotated[tuple[float, float] | None, "or all rows between two quantiles, 0 worst, 1 best"] = None
    per: Annotated[str | None, "column whose mixture k or fraction keeps (source, task, ...)"] = None
    deduplicate: Annotated[str | None, "column of perceptual hashes: of near-duplicates the best stays"] = None
    duplicate_distance: Annotated[int, "bits two hashes may differ by and count as near-duplicates"] = 4
    diverse: Annotated[str | None, "column of embeddings: k rows spread out, among the best diverse_pool x k"] = None
    diverse_pool: Annotated[float, "how many times k rows diverse chooses among"] = 4.0

    def __post_init__(self) -> None:
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
        if self.push_to_hub and not self.hub_dataset_id:
            raise ConfigError("hub_dataset_id: needed with push_to_hub (OWNER/NAME)")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(ScoreAndSelect, argv, description=__doc__)
    from tamis import arms, cards, dry_run, hub, models, rows, scorers, select
    from tamis.curation import Curation, selection_query
    from tamis.near_duplicates import best_of_groups, near_duplicate_groups
    from tamis.run import Run
    from tamis.scoring import attach_scores

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
            needs=(config.image_column, config.text_column, config.per),
        )
        stage["rows"] = len(pool)
    if config.dry_run:
        extent = rows.extent(config.dataset, source, config_name=config.dataset_config, split=config.split)
        figures = dry_run.estimate(pool, scoring, extent, run=run, batch_size=config.batch_size, limit=config.limit)
        dry_run.show(run, figures)
        run.close()
        return {"dry_run": dict(figures)}

    # ---- 2. Score ----------------------------------------------------------------------------------------------------
    for scorer in scoring:
        pool = attach_scores(pool, scorer, run=run, batch_size=config.batch_size)
    models.release()

    # ---- 3. Select ---------------------------------------------------------------------------------------------------
    by = config.select_by or "score"
    if config.weights:
        pool = select.with_weighted(pool, config.weights, by, scale=config.weights_scale)
    candidates = pool
    if config.deduplicate:
        groups = near_duplicate_groups(pool[config.deduplicate][:], config.duplicate_distance)
        pool = pool.add_column("near_duplicate_group", groups)
        candidates = best_of_groups(pool, groups, keep_by=by, seed=config.seed)
    kept = _kept(candidates, by, config)
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
    metrics = {
        name: arms.aggregate(subset, measured, seed=config.seed) for name, subset in {"full": pool, **subsets}.items()
    }
    comparisons = [
        arms.compare(best, other, pool, column, seed=config.seed)
        for other in (drawn, worst, "full")
        for column in measured
    ]
    results = run.results(arms=metrics, comparisons=comparisons)

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    if run.is_main:
        repo_id = config.hub_dataset_id or f"your-name/{Path(config.dataset).name}-curated"
        query = selection_query(
            repo_id,
            candidates,
            by,
            seed=config.seed,
            k=len(kept),
            threshold=config.threshold,
            band=config.band,
            per=config.per,
            one_of_each="near_duplicate_group" if config.deduplicate else None,
        )
        curation = Curation(
            repo_id=repo_id,
            source=source,
            pool=pool,
            subsets=subsets,
            by=by,
            measured=measured,
            scorers=scoring,
            results=results,
            query=None if config.diverse else query,
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
        arms.show(run, metrics, measured)
        hub.show(run, published, load=["scores", best])
    run.say(run.finish(results))
    return results


def _way(config: ScoreAndSelect) -> str:
    names = {"diverse": config.diverse, "band": config.band, "above": config.threshold is not None}
    return next((name for name, given in names.items() if given), "top")


def _kept(candidates: Any, by: str, config: ScoreAndSelect) -> Any:
    from tamis import select

    if config.threshold is not None:
        return select.threshold(candidates, by, config.threshold)
    if config.band:
        return select.band(candidates, by, *config.band, seed=config.seed)
    if config.diverse:
        wide = round(config.k * config.diverse_pool)
        pool = select.top_k(candidates, by, k=wide, seed=config.seed, at_most=True)
        return select.diverse(pool, config.diverse, k=config.k, by=by, seed=config.seed)
    return select.top_k(candidates, by, k=config.k, fraction=config.fraction, per=config.per, seed=config.seed)


if __name__ == "__main__":
    with plain_errors():
        main()
