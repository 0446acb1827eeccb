"""What a run of self_reward_lora would take, measured on its first prompt: pictures, judge calls, steps, time, disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.arm_names import contests
from tamis.dry_run import borrowed_folder, duration, peak_memory, picture_seconds, size, size_of, step_seconds, timed
from tamis.prompts.self_reward import SIGNS
from tamis.scoring import attach_scores
from tamis.self_reward import rounds

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.arm_names import Arm
    from tamis.generate import Drawing
    from tamis.run import Run

PICTURES = 8


def estimate(
    asked: Dataset,
    rewards: Sequence[Any],
    drawing: Drawing,
    arms: dict[int, list[Arm]],
    config: Any,
    *,
    graders: int,
    run: Run,
) -> list[tuple[str, str]]:
    """Draws a few pictures of the first prompt, rewards them, trains a few steps. config: the recipe's settings."""
    uses = Counter(asked["use"][:])
    with borrowed_folder(run) as folder:
        own, run.output_dir = run.output_dir, folder
        try:
            some = asked.select([asked["use"][:].index("train")]).flatten_indices()
            pictures = rounds.to_generate(some, PICTURES, number=1, seed=config.seed, wearing={})
            sample = attach_scores(pictures, drawing, run=run, batch_size=config.eval_batch_size)
            rewarding = 0.0
            for scorer in rewards:  # some read what others wrote: twice, since the first time a model is loaded
                timed(sample, scorer, run, folder / "cold", config.batch_size)
                rewarding += timed(sample, scorer, run, folder / "warm", config.batch_size) / PICTURES
                sample = attach_scores(sample, scorer, run=run, batch_size=config.batch_size)
            models.release()
            training = step_seconds(sample, config, run, image_column="image")
            models.release()
            picture = picture_seconds(drawing)
        finally:
            run.output_dir = own
    generated = uses["train"] * config.candidates_per_prompt * config.rounds
    classes = len(set(asked["class"][:])) if config.per_class else 1
    sets = sum(arm.way != "none" for some in arms.values() for arm in some) + config.rounds - 1
    each = config.optimizer_steps(-(-uses["train"] // classes))
    steps, worn = sets * classes * each, sets + len(arms)
    drawn = worn * (uses["heldout"] * config.images_per_prompt + len(config.unrelated_prompts) * classes)
    pairs = (len(contests(arms[config.seed])) + config.rounds - 1 if config.pairwise else 0) * uses["heldout"]
    seconds = [generated * picture, generated * rewarding, steps * training, drawn * picture]
    stored = sample.select_columns(["image"]).with_format("arrow")[:].nbytes / PICTURES
    repos = {one for scorer in (*rewards, drawing) for one in scorer.models}
    return [
        ("prompts", f"{uses['train']:,} to train on, {uses['heldout']:,} held out"),
        ("generating", f"{generated:,} pictures, {duration(seconds[0] / run.ranks)}"),
        ("rewarding", f"{generated * len(SIGNS):,} questions and a caption each, {duration(seconds[1] / run.ranks)}"),
        ("training", f"at most {sets * classes:,} adapters, {steps:,} steps, {duration(seconds[2] / run.ranks)}"),
        ("drawing", f"{drawn:,} pictures, {duration(seconds[3] / run.ranks)}"),
        ("grading", f"scores of {worn * uses['heldout'] * config.images_per_prompt:,} pictures by {graders}"),
        ("judge, in pairs", f"{2 * pairs * config.images_per_prompt:,} questions about two pictures"),
        (
            "time",
            f"{duration(sum(seconds) / run.ranks)} and the grading, {run.ranks} process(es), {models.device().type}",
        ),
        ("memory", peak_memory()),
        ("disk", f"{size((generated + drawn) * stored)} of pictures, as much again to publish"),
        ("downloads", f"{size(sum(size_of(*repo) for repo in repos))} of models (less what is cached)"),
    ]
