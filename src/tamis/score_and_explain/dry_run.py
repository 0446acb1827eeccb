"""What a run of score_and_explain would take, measured on its first pictures: replies, steps, time, memory, disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.dry_run import duration, elsewhere, peak_memory, size, size_of, timed
from tamis.score_and_explain.arm_forms import BASE, SFT
from tamis.score_and_explain.explaining import to_explain, untried
from tamis.training.dpo import train_dpo_loras

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.scoring import Scorer

ROWS, STEPS = 16, 4  # pictures that are explained, at least; steps of training


def estimate(
    parts: dict[str, Dataset],
    explainer: Scorer,
    replier: Scorer,
    readers: Sequence[Scorer],
    config: Any,
    *,
    run: Run,
) -> list[tuple[str, str]]:
    """Explains and scores a few pictures, trains a few steps. config: the recipe's settings."""
    seeds, lines, seconds = config.by_seed(), [], 0.0
    iterations = config.iterations * len(seeds)
    trained = min(len(parts["train"]), config.pictures_per_iteration or len(parts["train"]))
    measured = [arm for arms in seeds.values() for arm in arms if arm.name != BASE]
    replies = len(parts["test"]) * (1 + config.iterations * len(measured))
    held = min(len(parts["validation"]), config.guessed_rows or len(parts["validation"]))  # has a model collapsed?
    read = min(len(parts["test"]), config.guessed_rows or len(parts["test"]))
    guesses = round(replies * read / len(parts["test"]))
    weighed = 2 * iterations * min(trained, config.guessed_rows or trained)  # by the first judge
    rows = max(ROWS, config.train_batch_size * config.gradient_accumulation_steps)
    whole = dataclasses.replace(config, pictures_per_iteration=None)
    sample = to_explain(parts["train"].select(range(min(rows, len(parts["train"])))), 1, config.seed, whole)
    with elsewhere(run) as folder:
        for scorer, rows, what in (
            (explainer, trained * iterations, "pictures, two texts each"),
            (replier, replies + held * (1 + iterations), "replies to test and validation pictures"),
        ):
            timed(sample, scorer, run, folder / "cold", config.batch_size)  # loads the model
            spent = timed(sample, scorer, run, folder / "warm", config.batch_size) * rows / len(sample)
            seconds += spent
            lines.append((scorer.name, f"{rows:,} {what}, {duration(spent / run.ranks)}"))
        models.release()
        few = dataclasses.replace(config, max_train_steps=STEPS)
        before = len(run.stages)
        [tuned] = train_dpo_loras({"dry-run": untried(sample, explainer.prompt)}, few, run).values()
        del run.stages[before:]
    each = tuned.train_metrics["seconds"] / tuned.train_metrics["steps"]
    batch = config.train_batch_size * config.gradient_accumulation_steps
    steps = config.max_train_steps or -(-trained * config.num_train_epochs // batch)
    loras = 2 * iterations + config.iterations * sum(arm.name == SFT for arm in measured)
    training = loras * steps * each  # of all ranks together
    judges, where = f"{len(config.guessers)} judges", models.device().type
    repos = {repo for scorer in (explainer, replier, *readers) for repo in scorer.models}
    stored = sum(rows.with_format("arrow")[:].nbytes for rows in parts.values())
    return [
        ("pictures", ", ".join(f"{len(rows):,} {split}" for split, rows in parts.items())),
        *lines,
        ("training", f"{loras} adapters of {steps:,} steps, {duration(training)}, with texts of 40 words"),
        ("reading", f"{guesses:,} explanations by each of {judges}, {weighed:,} more by the first; not timed"),
        ("time", f"{duration(seconds / run.ranks + training)} and the judges, {run.ranks} process(es), {where}"),
        ("memory", peak_memory()),
        ("disk", f"{size(stored)} of rows, as much again to publish; features: {config.features_gb:g} GB at most"),
        ("downloads", f"{size(sum(size_of(*repo) for repo in repos))} of models (less what is cached)"),
    ]
