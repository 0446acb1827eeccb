"""What a run of product_vqa would take, measured on its first questions: calls, steps, time, memory, disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.dry_run import duration, elsewhere, peak_memory, size, size_of, timed
from tamis.product_vqa.arm_forms import AS_8BIT, BY_ROW, ON_8BIT
from tamis.product_vqa.gathering import TRIED
from tamis.product_vqa.tuning import wanted
from tamis.scorers.blip_vqa import BlipVqa
from tamis.training.vqa_lora import train_vqa_loras

if TYPE_CHECKING:
    from tamis.product_vqa.gathering import Gathered
    from tamis.run import Run
    from tamis.scoring import Scorer

MARKS = (BY_ROW, ON_8BIT, AS_8BIT)  # of arms that answer the test rows alone
ROWS, STEPS = 40, 4  # questions that are answered, steps of training


def estimate(
    gathered: Gathered, describers: Sequence[Scorer], answerers: Sequence[Scorer], config: Any, *, run: Run
) -> list[tuple[str, str]]:
    """Scores and answers a few questions, trains a few steps. config: the recipe's settings."""
    questions, seeds, shares = gathered.questions, config.by_seed(), config.shares()
    sample = questions.select(range(min(ROWS, len(questions)))).flatten_indices()
    blip, total, lines, seconds = BlipVqa(**config.blip()), len(questions), [], 0.0
    if gathered.products is not None:
        total = round(len(questions) / min(TRIED, gathered.products) * gathered.products)
        seconds = gathered.seconds_a_product * gathered.products
        calls = f"{gathered.products:,} calls, and up to two more for each to mend"
        lines.append(("writing", f"{calls}, {duration(seconds / run.ranks)}"))
    lines.append(("questions", f"{total:,}" if gathered.products is None else f"about {total:,}"))
    tested = round(shares["test"] * total)
    with elsewhere(run) as folder:
        for scorer, rows in [*((one, total) for one in describers), *((one, tested) for one in answerers)]:
            timed(sample, scorer, run, folder / "cold", config.batch_size)  # loads the model
            spent = timed(sample, scorer, run, folder / "warm", config.batch_size) * rows / len(sample)
            seconds += spent
            lines.append((scorer.name, f"{rows:,} questions, {duration(spent / run.ranks)}"))
        timed(sample, blip, run, folder / "cold", config.eval_batch_size)
        answering = timed(sample, blip, run, folder / "warm", config.eval_batch_size) / len(sample)
        models.release()
        few = dataclasses.replace(config, max_train_steps=STEPS)
        asked = {"train": sample, "train_by_row": sample, "select_by": None, "main_seed": config.seed}
        plain = {config.seed: [arm for arm in seeds[config.seed] if arm.plain][:1]}
        before = len(run.stages)
        [trained] = train_vqa_loras(wanted(plain, **asked, on_8bit=False), few, run, image_id_column=None).values()
        del run.stages[before:]
        step = trained.train_metrics["seconds"] / trained.train_metrics["steps"]
    arms = [arm for some in seeds.values() for arm in some if arm.trained]
    steps = sum(config.optimizer_steps(round(shares["train"] * total * (arm.share or 1))) for arm in arms)
    held = round((shares["test"] + shares["validation"]) * total)
    worn = {mark: sum(arm.mark == mark for some in seeds.values() for arm in some) for mark in MARKS}
    sat = held * (1 + len(arms) - worn[BY_ROW] - worn[ON_8BIT]) + tested * (sum(worn.values()) + bool(worn[BY_ROW]))
    seconds += steps * step + sat * answering
    repos = {repo for scorer in (*describers, *answerers, blip) for repo in scorer.models}
    stored = sample.with_format("arrow")[:].nbytes / len(sample) * total
    return [
        *lines,
        ("training", f"{len(arms)} adapters, {steps:,} steps, {duration(steps * step / run.ranks)}"),
        ("answering", f"{sat:,} answers, at most {duration(sat * answering / run.ranks)}: LoRAs share encodings"),
        *([("chat models", f"{len(config.chat_models)} to tune, not timed")] if config.chat_models else []),
        ("time", f"{duration(seconds / run.ranks)} and the metrics, {run.ranks} process(es), {models.device().type}"),
        ("memory", peak_memory()),
        (
            "disk",
            f"{size(stored)} of questions, as much again to publish; features: {config.vision_cache_gb:g} GB at most",
        ),
        ("downloads", f"{size(sum(size_of(*repo) for repo in repos))} of models (less what is cached)"),
    ]
