# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis[quantised,sentence,vision]==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "a100-large"
# timeout = "72h"
# secrets = ["HF_TOKEN"]
# ///
r"""Instructions about pictures, rated as text: what does tuning on the best tenth buy? (SCALE, arXiv 2506.08429)

Five stages score a pool: image quality, text quality, the task of each row, captions, and how clear, relevant and rare
a row is by a judge that reads captions in place of the picture. The best tenth by the mean of all three kinds is held
against as many rows chosen in other ways, drawn, and against the whole pool: a vision-language model is tuned on each,
and answers a benchmark. Claim: the best tenth does better than a drawn one. The card tells whether it did.

    accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/scale_select.py \
        --config recipes/scale_select.24gb.yaml --push_to_hub --hub_model_id USER/LORAS --hub_dataset_id USER/POOL
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tamis.arm_settings import SeedSettings
from tamis.config import RunConfig, parse, plain_errors
from tamis.scale_select.settings import LANGUAGE, LENGTH, RARITY, ScaleSelectSettings
from tamis.training.vlm_tuning import VlmTuning

PAPER = {  # what the paper and its scripts state; behind that, other names of the same
    "pool": ("500,000 rows of eight sources",),
    "image_judge": ("zhangzicheng/q-sit",),
    "text_judge": ("Qwen/Qwen2.5-32B-Instruct", "Qwen/Qwen2.5-32B-Instruct-AWQ"),
    "caption_judge": ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct-AWQ"),
    "base_model": ("Qwen/Qwen2.5-VL-7B-Instruct",),
    "tuning": ("language_model",),
    "num_train_epochs": (1,),
    "max_pixels": (50176,),
    "lr_scheduler": ("cosine",),
    "lr_warmup_ratio": (0.05,),
    "adam_weight_decay": (0.0, 0),
    "max_grad_norm": (1.0, 1),
}


@dataclass(kw_only=True)
class ScaleSelect(ScaleSelectSettings, SeedSettings, VlmTuning, RunConfig):
    output_dir: Annotated[str, "where journal, adapters, results.json, report.html and hub/ are written"] = (
        "outputs/scale_select"
    )
    limit: Annotated[int | None, "take the first N rows of each source only"] = None
    base_model: Annotated[str, "a chat model that sees: a repo, or a folder"] = "Qwen/Qwen2.5-VL-7B-Instruct"

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        ScaleSelectSettings.__post_init__(self)
        VlmTuning.__post_init__(self)
        self.refuse_unfit_numbers()
        self.refuse_unfit_seeds()
        from tamis.scale_select import arm_forms

        arm_forms.refuse_unfit(self.by_seed()[self.seed])
        self.refuse_unnamed("hub_model_id", "hub_dataset_id")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(ScaleSelect, argv, description=__doc__)
    from datasets import concatenate_datasets

    from tamis import arms, dry_run, hub, models, scorers, scoring
    from tamis.arm_names import folder
    from tamis.durable import write_json
    from tamis.run import Run
    from tamis.scale_select import (
        answering,
        arm_forms,
        composition,
        examining,
        faults,
        languages,
        measuring,
        rankings,
        rarity,
        reading,
        reply_lengths,
        telling,
        ties,
        tuning,
    )
    from tamis.scale_select.dry_run import estimate
    from tamis.scale_select.release import ScaleSelectRelease, side_by_side
    from tamis.scoring import attach_scores
    from tamis.sources import pin
    from tamis.training.chat_lora import refuse_unfit_ranks

    read = {"image_column": "image", "text_column": "text"}
    stages = {stage: scorers.build(some, **read) for stage, some in config.stages().items()}
    others = scorers.build(config.scorers, **read)
    examiners = scorers.build(answering.scorers(config, None))
    scoring_all = [*(one for some in stages.values() for one in some), *others]
    by_seed = config.by_seed()
    best = arm_forms.headline(by_seed[config.seed])
    run = Run(config.output_dir, recipe="scale_select", config=config, seed=config.seed, report_to=config.report_to)

    # ---- 1. Read -----------------------------------------------------------------------------------------------------
    # Whatever would end a run in its last act is said now, before hours are spent.
    scoring.pin_models([*scoring_all, *examiners], run)
    refuse_unfit_ranks(config, run)
    if config.push_to_hub and not config.dry_run and not config.stage:  # may we write there?
        hub.claim(run, config.hub_dataset_id, "dataset", private=config.hub_private_repo)
        hub.claim(run, config.hub_model_id, "model", private=config.hub_private_repo)
    pool = reading.read(config.sources, run=run, seed=config.seed, limit=config.limit, **config.reading())
    exam = examining.read(config.benchmarks, run)
    for line in (*pool.said(), *exam.said()):
        run.say(line)
    rows = pool.rows.add_column(LANGUAGE, languages.languages(pool.rows, "text"))
    rows = rows.add_column(LENGTH, reply_lengths.reply_lengths(rows, "answer"))
    used = {f"composition: {name}": name for name in config.composition} | {"fault_column": config.fault_column}
    scoring.refuse_unfit(rows.features, scoring_all, ranked=config.weighed(), used=used)
    columns = dict(rows.features) | {name: kind for one in scoring_all for name, kind in one.columns.items()}
    composition.refuse_unfit(columns, used)
    rankings.refuse_unfit(config.rankings, [*columns, RARITY])
    scoring.refuse_unfit(exam.questions.features, examiners, ranked={}, used={})
    if config.dry_run:
        figures = estimate(pool, exam, stages, others, examiners, config, run=run)
        dry_run.show(run, figures)
        run.close()
        return {"dry_run": dict(figures)}

    # ---- 2. Score ----------------------------------------------------------------------------------------------------
    # Five stages, each of which can be run alone and earlier: the journal has what is done.
    for stage in config.wanted_stages():
        for scorer in stages[stage]:
            rows = attach_scores(rows, scorer, run=run, batch_size=config.batch_size)
        models.release()
    if config.stage:
        run.nulls = arms.nulls(rows, arms.numeric(rows, rows.column_names))
        results = run.results(arms={}, comparisons=[])
        if run.is_main:
            write_json(run.output_dir / f"results.{config.stage}.json", results)
        arms.show_nulls(run)
        run.close()
        return results
    # Is the task that the judge reads the one that people gave? The benchmark's questions are labelled.
    [tasker] = scorers.build([answering.tasker(config)])
    labelled = attach_scores(exam.questions, tasker, run=run, batch_size=config.batch_size)
    rows = rows.add_column(RARITY, rarity.rarity(rows["task_subtask"][:]))
    for scorer in others:
        rows = attach_scores(rows, scorer, run=run, batch_size=config.batch_size)
    models.release()

    # ---- 3. Select ---------------------------------------------------------------------------------------------------
    rows = rankings.with_rankings(rows, config.rankings)
    subsets = {seed: arm_forms.subsets(rows, some, seed=seed) for seed, some in by_seed.items()}
    named = {folder(arm, seed, config.seed): some[arm] for seed, some in subsets.items() for arm in some}
    rows = arms.with_arms(rows, named)

    # ---- 4. Train ----------------------------------------------------------------------------------------------------
    # One model an arm: as many epochs each, or, of matched ones, as many steps as the largest takes.
    tuned, most = {}, max(map(len, subsets[config.seed].values()))
    for seed, some in subsets.items():
        tuned |= tuning.tune(some, by_seed[seed], config, run, most=most, seed=seed, main_seed=config.seed)
    models.release()
    # Every arm sits the benchmark.
    paths = {name: adapter.path for name, adapter in tuned.items()}
    answered = []
    for sitting in answering.sittings(subsets, paths, main_seed=config.seed):
        told = exam.questions
        for examiner in scorers.build(answering.scorers(config, sitting.adapter)):
            told = attach_scores(told, examiner, run=run, batch_size=config.eval_batch_size)
        answered.append(sitting.answers(told))
    models.release()
    answers = concatenate_datasets(answered)
    shown = examining.drawn(exam.questions, config.replies, config.seed)
    replies = []
    for adapter in (None, paths[best]) if len(shown) else ():
        [replier] = scorers.build([answering.replier(config, adapter)])
        replies.append(attach_scores(shown, replier, run=run, batch_size=config.eval_batch_size))
    models.release()
    asked = answering.metrics(config)
    measured = arms.numeric(rows, [column for one in scoring_all for column in one.columns] + config.ranked())
    run.nulls = arms.nulls(rows, measured, weighted=config.ranked())
    found = run.from_main(measuring.measure(answers, asked, best=best, seed=config.seed) if run.is_main else None)
    results = run.results(arms=found["arms"], comparisons=found["comparisons"]) | found
    results |= {"best": best, "metrics": asked}
    results |= {"pool": pool.composition, "refused": pool.refused, "repaired": pool.repaired}
    tied = ties.of_arms(rows, subsets[config.seed], by_seed[config.seed])
    results |= {"ties": {arm: asdict(one) | {"told": one.told} for arm, one in tied.items()}}
    mixtures = composition.mixtures(rows, subsets[config.seed], config.composition)
    shifts = [shift for one in mixtures for shift in composition.shifts(one, seed=config.seed)]
    results |= {"composition": [asdict(shift) for shift in shifts], "not_run": config.not_run}
    faulty = faults.found(rows, config.fault_column, measured, seed=config.seed) if config.fault_column else []
    results |= {"faults": [asdict(one) for one in faulty]}
    results |= {"training": {name: adapter.train_metrics for name, adapter in tuned.items()}}
    results |= {"tasks": examining.tasks(labelled, config.seed)}
    results |= {"nulls_answers": arms.nulls(answers, asked)}

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    if run.is_main:
        release = ScaleSelectRelease(
            dataset_id=config.hub_dataset_id or hub.unpushed_id("scale", "pool"),
            model_id=config.hub_model_id or hub.unpushed_id("scale", "vlm"),
            sources=pool.sources,
            exam_sources=exam.sources,
            base=pin(config.base_model, "model", config.base_revision),
            pool=rows,
            subsets=named,
            answers=answers,
            replies=side_by_side(replies),
            arms=by_seed[config.seed],
            paths=paths,
            results=results,
            best=best,
            mixtures=mixtures,
            shifts=shifts,
            ties=tied,
            faults=faulty,
            measured=measured,
            scorers=[*scoring_all, *examiners],
            paper=PAPER,
        )
        pictures = release.pictures()
        page = release.page(pictures)
        (run.output_dir / "report.html").write_text(page, encoding="utf-8")
        to = {"push": config.push_to_hub, "private": config.hub_private_repo}
        files = pictures | {"report.html": page}
        data = hub.publish_dataset(run, release.dataset_id, release.configs(), release.dataset_card(), files, **to)
        tuned_models = hub.publish_adapter(run, release.model_id, paths, release.adapter_card(), files, **to)
        arms.show(run, results["arms"], release.columns_shown, {"answers": results["nulls_answers"]})
        run.say(telling.verdict(results, best))
        hub.show(run, data, load=["scores", best])
        hub.show_adapter(run, tuned_models, release.loading())
    run.say(run.finish(results))
    return results


if __name__ == "__main__":
    with plain_errors():
        main()
