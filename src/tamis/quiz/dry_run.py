"""What a run of quiz_lora would take, measured on its first topic: judge calls, steps, pictures, time, memory, disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.arm_names import contests, largest
from tamis.candidates import LEFT_OUT
from tamis.dry_run import duration, elsewhere, peak_memory, picture_seconds, size, size_of, step_seconds, timed
from tamis.generate import Drawing
from tamis.quiz.making import make_quizzes

if TYPE_CHECKING:
    from tamis.arm_names import Arm
    from tamis.candidates import Candidates
    from tamis.run import Run

PICTURES = 16


def estimate(
    found: Candidates,
    judged: Sequence[Any],
    drawing: Drawing,
    arms: dict[int, list[Arm]],
    config: Any,
    *,
    graders: int,
    run: Run,
) -> list[tuple[str, str]]:
    """Writes one topic's quiz, takes it on a few of its pictures, trains a few steps, draws a few pictures.

    judged: who writes the quizzes, who is asked them blind, who takes them. config: the recipe's settings.
    """
    writer, blind, *takers = judged
    graded, batch_size = config.images_per_prompt * len(config.styles), config.batch_size
    unrelated = len(config.unrelated_prompts)
    pairs = len(contests(arms[config.seed])) if config.pairwise else 0
    topics = found.participating()
    usable = sum(why is None for why in found.to_score({})[LEFT_OUT][:])
    with elsewhere(run) as folder:
        first = topics.select([0]).flatten_indices()
        quizzes = make_quizzes(first, writer, blind, heldout=0, run=run, batch_size=batch_size)
        told = found.to_score(quizzes.of("quiz"))
        rows = [at for at, name in enumerate(told[found.columns.topic][:]) if name == first[0]["topic"]]
        sample = told.select(rows[:PICTURES]).flatten_indices()
        taking = sum(timed(sample, taker, run, folder / taker.name, batch_size) for taker in takers) / len(sample)
        models.release()
        training = step_seconds(sample, config, run, image_column=found.columns.image)
        models.release()
        picture = picture_seconds(drawing)
    adapters = [arm for some in arms.values() for arm in some if arm.way != "none"] * len(topics)
    most = max(map(largest, arms.values()))
    steps = sum(config.optimizer_steps(most if arm.matched else arm.k or len(rows)) for arm in adapters)
    worn = len(adapters) + len(topics) * len(arms)
    drawn, pairs = worn * (graded + unrelated), pairs * graded * len(topics) * len(arms)
    asked = len(quizzes.table)
    questions = usable * asked * len(takers)
    total = taking * usable / run.ranks + steps * training / run.ranks + drawn * picture / run.ranks
    repos = {one for scorer in (writer, blind, *takers, drawing) for one in scorer.models}
    return [
        ("pictures", f"{len(found.pool):,} in {len(topics):,} topics, {usable:,} may be chosen"),
        ("judge, to write", f"{len(topics):,} quizzes, three tries each at most"),
        ("judge, blind", f"{len(topics) * asked * blind.orders:,} questions without a picture"),
        ("judge, to choose", f"{questions:,} questions, {duration(taking * usable / run.ranks)}"),
        (
            "judge, to grade",
            f"about {worn * graded * asked:,} questions, and scores of {worn * graded:,} pictures by {graders}",
        ),
        ("judge, in pairs", f"at most {2 * pairs:,} questions about two pictures"),
        ("training", f"{len(adapters):,} adapters, {steps:,} steps, {duration(steps * training / run.ranks)}"),
        ("drawing", f"{drawn:,} pictures, {duration(drawn * picture / run.ranks)}"),
        ("time", f"{duration(total)} and the grading, on {run.ranks} process(es), {run.accelerator.device.type}"),
        ("memory", peak_memory()),
        ("disk", f"{size(found.pool.with_format('arrow')[:].nbytes)} of pictures, as much again to publish"),
        ("downloads", f"{size(sum(size_of(*repo) for repo in repos))} of models (less what is cached)"),
    ]
