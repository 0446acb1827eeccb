# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "l4x1"
# timeout = "12h"
# secrets = ["HF_TOKEN", "OPENAI_API_KEY"]
# ///
r"""QZLoRA (arXiv 2511.12002): the pictures that a vision-language model learns most from teach a diffusion model best.

A judge writes a quiz from each topic's article and takes it on every candidate picture; a LoRA is trained on the
pictures that answer most of it, and on others to compare; what the LoRAs draw is graded by the same quiz, by questions
held out of it, and by scorers that did not select. Claim: none < random-15 < top-15.

    accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/quiz_lora.py \
        --config recipes/quiz_lora.24gb.yaml --dataset USER/CANDIDATES --push_to_hub \
        --hub_model_id USER/LORAS --hub_dataset_id USER/QUIZZES
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tamis.arm_settings import ArmSettings
from tamis.config import ConfigError, RunConfig, parse, plain_errors
from tamis.quiz.settings import QuizSettings
from tamis.training.diffusion_lora import DiffusionLora

SD = "stable-diffusion-v1-5"
PAPER = {  # what it states; behind that, other names of the same
    "judge": ("GPT-4o", "openai/gpt-4o"),
    "base_model": ("Stable Diffusion 1.5", f"{SD}/{SD}", f"runwayml/{SD}"),
    "num_train_epochs": (20,),
    "num_repeats": (5,),
    "train_batch_size": (1,),
    "learning_rate": (1e-4,),
}


@dataclass(kw_only=True)
class QuizLora(QuizSettings, ArmSettings, DiffusionLora, RunConfig):
    output_dir: Annotated[str, "where journal, adapters, results.json, report.html and hub/ are written"] = (
        "outputs/quiz_lora"
    )
    dataset: Annotated[str, "candidates: Hub id, or a local folder"]
    dataset_config: Annotated[str | None, "config of that dataset"] = None
    split: Annotated[str, "split of that dataset"] = "train"
    revision: Annotated[str | None, "branch, tag or commit; what it resolves to is recorded"] = None
    id_column: Annotated[str | None, "column whose values become row_id; none: SPLIT-INDEX"] = None
    batch_size: Annotated[int, "pictures a judge's call; halved by itself when memory runs out"] = 16

    arms: Annotated[
        list[str],
        "what is trained and compared: none, full, top-K, bottom-K, random-K, clustered-K, top-spread; .matched: for "
        "as many steps as the largest K; .weaker: as weaker_judge picks",
    ] = field(default_factory=lambda: ["none", "random-15", "top-15"])
    styles: Annotated[list[Literal["photo", "illustration"]], "prompts that the arms draw"] = field(
        default_factory=lambda: ["photo", "illustration"]
    )
    images_per_prompt: Annotated[int, "pictures a topic, arm and style; their noise is the same in all arms"] = 5
    second_judge_column: Annotated[str | None, "the column of `grading` whose ranking is compared with the quiz's"] = (
        None
    )

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        QuizSettings.__post_init__(self)
        DiffusionLora.__post_init__(self)
        from tamis.topic_arms import FORMS

        if any("weaker" in arm.marks for arm in self.by_seed(FORMS)[self.seed]) and self.weaker_judge is None:
            raise ConfigError("weaker_judge: needed for arms that end in .weaker")
        self.refuse_unfit_arms(FORMS)
        self.refuse_unnamed("hub_model_id", "hub_dataset_id")
        for name in ("batch_size", "images_per_prompt"):
            self.refuse_below(name, 1)
        if not self.styles:
            raise ConfigError("styles: none; expected photo, illustration or both")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(QuizLora, argv, description=__doc__)
    from tamis import arm_names, arms, candidates, drawings, dry_run, hub, models, scorers, scoring, topic_arms
    from tamis.quiz import making, measuring
    from tamis.quiz.dry_run import estimate
    from tamis.quiz.release import QuizRelease
    from tamis.rows import read_rows, refuse_non_images
    from tamis.run import Run
    from tamis.scoring import attach_scores
    from tamis.sources import pin
    from tamis.training.diffusion_lora import train_diffusion_loras

    writer, blind, *takers = scorers.build(config.reading())
    graders = scorers.build([*config.graders(), *config.grading], image_column="image")
    clip = scorers.build(config.onlooker(), image_column="image")
    referee = scorers.build(config.referee())
    seeds = config.by_seed(topic_arms.FORMS)
    drawing = config.drawing()
    run = Run(config.output_dir, recipe="quiz_lora", config=config, seed=config.seed, report_to=config.report_to)

    # ---- 1. Read -----------------------------------------------------------------------------------------------------
    columns = config.columns()
    with run.stage("read") as stage:
        pool, source = read_rows(
            config.dataset,
            run=run,
            config_name=config.dataset_config,
            split=config.split,
            revision=config.revision,
            limit=config.limit,
            id_column=config.id_column,
            needs=columns.needed,
        )
        refuse_non_images(pool.features, config.image_column)
        found = candidates.gather(pool, columns, only=config.topics, allow_no_derivatives=config.allow_no_derivatives)
        stage["rows"] = len(found.pool)
    # Whatever would end a run in its last act is said now, before hours are spent.
    told = drawings.picture_features(making.told_features(found.topics))
    ranked, used = {"second_judge_column": config.second_judge_column}, {"pairwise_column": config.paired_by}
    scoring.refuse_unfit(told, [drawing, *graders], ranked=ranked, used=used)
    last = clip if config.unrelated_prompts else []
    scoring.pin_models([writer, blind, *takers, drawing, *graders, *referee, *last], run)
    if config.dry_run:
        judged = [writer, blind, *takers]
        figures = estimate(found, judged, drawing, seeds, config, graders=len(graders), run=run)
        dry_run.show(run, figures)
        run.close()
        return {"dry_run": dict(figures)}
    if config.push_to_hub:  # may we write there? Asked before hours are spent
        hub.claim(run, config.hub_dataset_id, "dataset", private=config.hub_private_repo)
        hub.claim(run, config.hub_model_id, "model", private=config.hub_private_repo)
    quizzes = making.make_quizzes(
        found.participating(), writer, blind, heldout=config.heldout_questions, run=run, batch_size=config.batch_size
    )
    found = found.without(quizzes.refused)
    run.say(f"questions: {', '.join(f'{count} {use}' for use, count in quizzes.counts().items())}")

    # ---- 2. Score ----------------------------------------------------------------------------------------------------
    pool = found.to_score(quizzes.of("quiz"))
    for taker in takers:
        pool = attach_scores(pool, taker, run=run, batch_size=config.batch_size)
    models.release()
    pool = pool.remove_columns("questions")
    nulls = dict(run.nulls)  # of quizzes, questions and candidates

    # ---- 3. Select ---------------------------------------------------------------------------------------------------
    weaker_by = "weaker_quiz_score" if config.weaker_judge else None
    choices, refused = topic_arms.choose_all(
        found.by_topic(pool), seeds, by="quiz_score", weaker_by=weaker_by, answers="quiz_answers"
    )
    found = found.without(refused)
    for topic, why in found.refused.items():
        run.say(f"left out: {topic}: {why}")
    subsets = topic_arms.union(choices, pool, config.seed)
    pool = arms.with_arms(pool, subsets)

    # ---- 4. Train ----------------------------------------------------------------------------------------------------
    named = candidates.folder_names(found.names)
    folders = {choice: choice.folder(named[choice.topic], config.seed) for choice in choices}
    longest = config.optimizer_steps(arm_names.largest(seeds[config.seed]))
    adapters = train_diffusion_loras(
        {folder: choice.rows for choice, folder in folders.items()},
        config,
        run,
        image_column=config.image_column,
        captions={folder: config.prompt(choice.topic, "photo") for choice, folder in folders.items()},
        steps={folder: longest for choice, folder in folders.items() if choice.arm.matched},
    )
    models.release()
    worn = {(c.topic, c.arm.name, c.seed): adapters[folder].path for c, folder in folders.items()}
    worn |= {(name, "none", seed): None for name in found.names for seed in seeds}  # what all others are held against
    told, features = quizzes.told(found.participating())
    asked = {topic: {style: config.prompt(topic, style) for style in config.styles} for topic in found.names}
    drawn = drawings.to_draw(told, worn, asked, config.images_per_prompt, features)
    drawn = attach_scores(drawn, drawing, run=run, batch_size=config.eval_batch_size)
    for grader in graders:
        drawn = attach_scores(drawn, grader, run=run, batch_size=config.batch_size)
    unrelated = {f"unrelated-{number}": text for number, text in enumerate(config.unrelated_prompts)}
    others = None
    if unrelated:
        others = drawings.to_draw(told, worn, dict.fromkeys(found.names, unrelated), 1, features)
        others = attach_scores(others, drawing, run=run, batch_size=config.eval_batch_size)
        others = drawings.with_retention(attach_scores(others, clip[0], run=run, batch_size=config.batch_size))
    contests = None
    if config.pairwise:
        contests = drawings.pairs(drawn, arm_names.contests(seeds[config.seed]), config.pairwise_column)
        contests = attach_scores(contests, referee[0], run=run, batch_size=config.batch_size)
    models.release()
    best = arm_names.headline(seeds[config.seed])
    metrics = arms.numeric(drawn, [column for grader in graders for column in grader.columns])
    metrics = [metric for metric in metrics if not metric.endswith("quiz_score")]  # ranks within a topic, means nothing
    measured = measuring.measure(
        drawn,
        metrics,
        best=best,
        unrelated=others,
        contests=contests,
        trained_on=topic_arms.trained_on(choices, "quiz_accuracy", seed=config.seed),
        clusters=["topic", *config.topic_columns[:1]],
        second=config.second_judge_column,
        seed=config.seed,
    )
    run.nulls = nulls  # scorers that ran again on what was drawn have told of that since
    results = run.results(arms=measured.pop("arms"), comparisons=measured.pop("comparisons")) | measured
    results |= {"quizzes": quizzes.counts(), "refused": found.refused}
    results["nulls_drawn"] = drawings.nulls(drawn, metrics, contests)

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    if run.is_main:
        release = QuizRelease(
            dataset_id=config.hub_dataset_id or hub.unpushed_id(config.dataset, "quizzes"),
            model_id=config.hub_model_id or hub.unpushed_id(config.dataset, "loras"),
            source=source,
            base=pin(config.base_model, "model", config.base_revision),
            columns=columns,
            pool=pool,
            quizzes=quizzes,
            drawn=drawn,
            subsets=subsets,
            arms=seeds[config.seed],
            choices=choices,
            folders=folders,
            results=results,
            best=best,
            metrics=metrics,
            takers=takers,
            graders=graders,
            seed=config.seed,
            paper=PAPER,
        )
        pictures = release.pictures()
        page = release.page(pictures)
        (run.output_dir / "report.html").write_text(page, encoding="utf-8")
        to = {"push": config.push_to_hub, "private": config.hub_private_repo}
        data = hub.publish_dataset(
            run, release.dataset_id, release.configs(), release.dataset_card(), pictures | {"report.html": page}, **to
        )
        saved = {folder: adapters[folder].path for folder in folders.values()}
        files = pictures | {"credits.csv": release.credits()}
        loras = hub.publish_adapter(run, release.model_id, saved, release.adapter_card(), files, **to)
        told = {"candidates": release.pool_nulls, "drawn pictures": results["nulls_drawn"]}
        arms.show(run, results["arms"], release.columns_shown, told)
        hub.show(run, data, load=["scores", best])
        hub.show_adapter(run, loras, release.loading())
    run.say(run.finish(results))
    return results


if __name__ == "__main__":
    with plain_errors():
        main()
