"""What a run of self_reward_lora would take, measured on its first prompt: pictures, judge calls, steps, time, disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.arm_names import contests, headline
from tamis.dry_run import duration, elsewhere, peak_memory, picture_seconds, size, size_of, step_seconds, timed
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
    scorers: dict[str, Sequence[Any]],
    drawing: Drawing,
    arms: dict[int, list[Arm]],
    config: Any,
    *,
    run: Run,
) -> list[tuple[str, str]]:
    """Draws a few pictures of the first prompt, rewards them, trains a few steps.

    asked: the prompts, or few of them where they are written. scorers: by what they do. config: the recipe's settings.
    """
    rewards, classes = scorers["rewarding"], len(set(asked["class"][:]))
    uses = Counter(asked["use"][:])
    if scorers["writing"]:  # what asked holds is few of them, and took so long
        written = sum(stage["seconds"] for stage in run.stages if stage["name"] == "score prompt_writer") / len(asked)
        classes = len(config.classes)
        each = {"train": config.prompts_per_class, "heldout": config.heldout_prompts + config.complex_prompts}
        uses = Counter({use: classes * min(count, config.limit or count) for use, count in each.items()})
    with elsewhere(run) as folder:
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
    generated = uses["train"] * config.candidates_per_prompt * config.rounds
    parts = classes if config.per_class else 1
    sets = sum(arm.way != "none" for some in arms.values() for arm in some) + config.rounds - 1
    best = next(arm for arm in arms[config.seed] if arm.name == headline(arms[config.seed]))
    steps = sets * parts * config.optimizer_steps(-(-uses["train"] * best.k // parts))
    worn = sets + len(arms)
    graded = worn * uses["heldout"] * config.images_per_prompt
    drawn = graded + worn * len(config.unrelated_prompts) * parts
    pairs = config.rounds - 1 + sum(len(contests([best, *some])) for some in arms.values()) if config.pairwise else 0
    seconds = [generated * picture, generated * rewarding, steps * training, drawn * picture]
    stored = sample.select_columns(["image"]).with_format("arrow")[:].nbytes / PICTURES
    repos = {one for some in (*scorers.values(), [drawing]) for scorer in some for one in scorer.models}
    told = [("prompts", f"{uses['train']:,} to train on, {uses['heldout']:,} held out")]
    if scorers["writing"]:
        seconds.append(written * sum(uses.values()) * run.ranks)  # classes share the work only where they are many
        told.append(("writing them", f"about {duration(seconds[-1] / run.ranks)}, by the first few of one class"))
    return [
        *told,
        ("generating", f"{generated:,} pictures, {duration(seconds[0] / run.ranks)}"),
        ("rewarding", f"{generated * len(SIGNS):,} questions and a caption each, {duration(seconds[1] / run.ranks)}"),
        ("training", f"at most {sets * parts:,} adapters, {steps:,} steps, {duration(seconds[2] / run.ranks)}"),
        ("drawing", f"{drawn:,} pictures, {duration(seconds[3] / run.ranks)}"),
        ("grading", f"{len(scorers['grading'])} scorers, most of {graded:,} pictures"),
        ("judge, in pairs", f"{2 * pairs * uses['heldout'] * config.images_per_prompt:,} questions about two pictures"),
        (
            "time",
            f"{duration(sum(seconds) / run.ranks)} and the grading, {run.ranks} process(es), {models.device().type}",
        ),
        ("memory", peak_memory()),
        ("disk", f"{size((generated + drawn) * stored)} of pictures, as much again to publish"),
        ("downloads", f"{size(sum(size_of(*repo) for repo in repos))} of models (less what is cached)"),
    ]
