"""What a run of scale_select would take, measured on its first rows: scores by stage, steps, answers, memory, disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.dry_run import duration, elsewhere, peak_memory, size, size_of, timed
from tamis.scale_select import arm_forms
from tamis.scale_select.tuning import steps_of
from tamis.scoring import attach_scores
from tamis.training.vlm_tuning import train_vlms

if TYPE_CHECKING:
    from tamis.run import Run
    from tamis.scale_select.examining import Exam
    from tamis.scale_select.reading import Pool
    from tamis.scoring import Scorer

ROWS, STEPS = 32, 4  # rows that are scored and tuned on, steps of tuning


def estimate(
    pool: Pool,
    exam: Exam,
    stages: Mapping[str, Sequence[Scorer]],
    others: Sequence[Scorer],
    examiners: Sequence[Scorer],
    config: Any,
    *,
    run: Run,
) -> list[tuple[str, str]]:
    """Scores a few rows with every stage, tunes a few steps, asks a few questions. config: the recipe's settings."""
    rows, seeds, seconds, lines = len(pool.rows), config.by_seed(), 0.0, []
    sample = pool.rows.select(range(min(rows, ROWS)))  # one chunk: several ranks would not share it
    asked = exam.questions.select(range(min(len(exam.questions), ROWS)))
    sitting = [arm for arms in seeds.values() for arm in arms]
    with elsewhere(run) as folder:
        for stage, some in (*stages.items(), ("others", others)):
            spent = 0.0
            for scorer in some:
                timed(sample, scorer, run, folder / "cold", config.batch_size)  # loads the model
                spent += timed(sample, scorer, run, folder / "warm", config.batch_size) * rows / len(sample)
                sample = attach_scores(sample, scorer, run=run, batch_size=config.batch_size)  # the next ones read it
            models.release()
            seconds += spent
            if some:
                lines.append((f"stage {stage}", f"{rows:,} rows, {duration(spent / run.ranks)}"))
        answers, spent = len(exam.questions) * len(sitting), 0.0
        for scorer in examiners:
            timed(asked, scorer, run, folder / "cold", config.eval_batch_size)
            spent += timed(asked, scorer, run, folder / "warm", config.eval_batch_size) * answers / len(asked)
        seconds += spent
        lines.append(("benchmark", f"{answers:,} answers, {duration(spent / run.ranks)}"))
        models.release()
        few = dataclasses.replace(config, max_train_steps=STEPS)
        before = len(run.stages)
        [tuned] = train_vlms({"dry-run": sample}, few, run).values()
        del run.stages[before:]
    each = tuned.train_metrics["seconds"] / tuned.train_metrics["steps"]
    trained = [arm for arm in sitting if arm.name != arm_forms.BASE]
    counts = [arm_forms.rows_of(arm, rows) for arm in trained]
    counts = [max(counts) if arm.matched else count for arm, count in zip(trained, counts, strict=True)]
    steps = sum(steps_of(count, config) for count in counts)
    repos = {repo for some in (*stages.values(), others, examiners) for scorer in some for repo in scorer.models}
    stored = pool.rows.with_format("arrow")[:].nbytes
    return [
        ("pool", f"{rows:,} rows of {len(pool.composition)} sources"),
        *lines,
        ("training", f"{len(counts)} models of {steps:,} steps in all, {duration(steps * each)}"),
        ("time", f"{duration(seconds / run.ranks + steps * each)}, {run.ranks} process(es), {models.device().type}"),
        ("memory", peak_memory()),
        ("disk", f"{size(stored)} of rows, as much again to publish, and what stages write"),
        ("downloads", f"{size(sum(size_of(*repo) for repo in repos))} of models (less what is cached)"),
    ]
