# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis[quantised,vision]==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "l4x1"
# timeout = "24h"
# secrets = ["HF_TOKEN"]
# ///
r"""A vision-language model that teaches itself to score pictures and to say why (arXiv 2506.02708).

In each iteration the model explains the right score of every training picture, and a wrong one. DPO on two sets of
such pairs gives two LoRAs: scoring (the right score with its text against the wrong one with its) and consistency (the
right score with its text against the same score with the other's). TIES makes them one; the next iteration begins with
it. Claim: the last merged model ranks test pictures better than the model as it is, and its texts still fit its scores.

    accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/score_and_explain.py \
        --config recipes/score_and_explain.24gb.yaml --push_to_hub \
        --hub_model_id USER/LORAS --hub_dataset_id USER/PAIRS
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tamis.arm_settings import SeedSettings
from tamis.config import RunConfig, parse, plain_errors
from tamis.score_and_explain.settings import ScoreAndExplainSettings
from tamis.training.dpo import DpoLora

PAPER = {  # what is known of it; behind that, other names of the same
    "dataset": ("AVA", "ava"),
    "iterations": (4,),
    "lora_r": ("16 to 64", 16, 32, 64),
    "merge_kind": ("ties",),
}


@dataclass(kw_only=True)
class ScoreAndExplain(ScoreAndExplainSettings, SeedSettings, DpoLora, RunConfig):
    output_dir: Annotated[str, "where journal, adapters, results.json, report.html and hub/ are written"] = (
        "outputs/score_and_explain"
    )
    base_model: Annotated[str, "a chat model that sees: a repo, or a folder"] = (
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"
    )

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        ScoreAndExplainSettings.__post_init__(self)
        DpoLora.__post_init__(self)
        from tamis.score_and_explain import arm_forms

        self.refuse_unfit_shares()
        self.refuse_unfit_seeds()
        arm_forms.refuse_unfit(self.by_seed())
        self.refuse_unnamed("hub_model_id", "hub_dataset_id")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(ScoreAndExplain, argv, description=__doc__)
    from datasets import concatenate_datasets

    from tamis import arms, dry_run, hub, models, scorers, scoring
    from tamis.run import Run
    from tamis.score_and_explain import arm_forms, deciding, explaining, measuring, reading, replying
    from tamis.score_and_explain.arm_forms import BASE, SFT
    from tamis.score_and_explain.dry_run import estimate
    from tamis.score_and_explain.line import Line
    from tamis.score_and_explain.release import ScoreAndExplainRelease
    from tamis.score_and_explain.settings import REPLY
    from tamis.scoring import attach_scores
    from tamis.training import turns
    from tamis.training.adapter import base_of
    from tamis.training.dpo import train_dpo_loras
    from tamis.training.vlm_lora import train_vlm_loras

    [explainer] = scorers.build(config.explaining(config.model()))
    [replier] = scorers.build(config.replying(config.model()))
    weighers = scorers.build(config.weighing())
    guessers = scorers.build(config.guessing())
    graders = scorers.build(config.grading)
    seeds = config.by_seed()
    run = Run(
        config.output_dir, recipe="score_and_explain", config=config, seed=config.seed, report_to=config.report_to
    )

    # ---- 1. Read -----------------------------------------------------------------------------------------------------
    # Whatever would end a run in its last act is said now, before hours are spent.
    scoring.pin_models([explainer, replier, *guessers, *graders], run)
    if config.push_to_hub and not config.dry_run:  # may we write there?
        hub.claim(run, config.hub_dataset_id, "dataset", private=config.hub_private_repo)
        hub.claim(run, config.hub_model_id, "model", private=config.hub_private_repo)
    ratings = reading.read(config, run)
    run.say(reading.said(ratings))
    parts = reading.parts(ratings)
    scoring.refuse_unfit(parts["test"].features, [replier, *guessers, *graders], ranked={}, used={})
    root = base_of(config.base_model, config.base_revision, run)
    turns.refuse_unfit_template(config.base_model, root)
    if config.decision:
        deciding.refuse_unfit(config.base_model, root, explainer.prompt)
    if config.dry_run:
        figures = estimate(parts, explainer, replier, [*guessers, *graders], config, run=run)
        dry_run.show(run, figures)
        run.close()
        return {"dry_run": dict(figures)}

    def replies_to(pictures: Any, replier: Any, arm: str, seed: int) -> Any:
        return replying.replies(attach_scores(pictures, replier, run=run, batch_size=config.batch_size), arm, seed)

    # What the model as it is says of the test pictures: every arm is held against it. Of pictures that are neither
    # trained on nor tested: whether a later one has collapsed.
    said = [replies_to(parts["test"], replier, BASE, config.seed)]
    held = replying.to_be_read(parts["validation"], config.guessed_rows, config.seed)
    sound = replies_to(held, replier, BASE, config.seed)
    explained, trained, worn, lines = [], {}, [], []
    for seed, wanted in seeds.items():
        line = Line(root, (config.base_model, config.base_revision), seed, config.seed, run)
        lines.append(line)
        while line.iteration < config.iterations and not line.ended:
            number = line.iteration + 1

            # ---- 2. Score --------------------------------------------------------------------------------------------
            # The model as it now is explains the right score of each picture, and a wrong one.
            asked = explaining.to_explain(parts["train"], number, seed, config)
            [explainer] = scorers.build(config.explaining(config.model(**line.wearing()), seed))
            if number == 1:  # can it follow the form at all?
                few = attach_scores(explaining.first(asked), explainer, run=run, batch_size=config.batch_size)
                explaining.paired(few, number, seed, explainer.prompt, config)
            asked = attach_scores(asked, explainer, run=run, batch_size=config.batch_size)
            models.release()

            # ---- 3. Select -------------------------------------------------------------------------------------------
            made = explaining.paired(asked, number, seed, explainer.prompt, config)
            if isinstance(made, str):
                line.end(made)
                break
            # A judge reads some of the texts, without their scores: does the model argue for a score at all?
            read = replying.to_be_read(made.rows, config.guessed_rows, seed)
            for scorer in weighers:
                read = attach_scores(read, scorer, run=run, batch_size=config.batch_size)
            models.release()
            explained.append(explaining.weighed(made, read))
            run.say(explained[-1].said())
            pairs = made.pairs

            # ---- 4. Train --------------------------------------------------------------------------------------------
            # On the base, beside what earlier iterations merged.
            trained |= train_dpo_loras(line.subsets(pairs), config, run, seed=seed, worn=line.worn)
            if any(arm.name == SFT for arm in wanted):
                taught = {line.name(SFT): pairs.taught}
                trained |= train_vlm_loras(taught, config.sft(), run, seed=seed, worn=line.worn)
            models.release()

            # Every arm of this iteration scores the test pictures and says why.
            for one in line.merge(wanted, config.merging(), config.merge_r):
                [replier] = scorers.build(config.replying(config.model(**one.model)))
                said.append(replies_to(parts["test"], replier, one.arm.at(number), seed))
                worn.append(one)
                if one.leads:
                    shown = replies_to(held, replier, one.arm.at(number), seed)
                    if why := measuring.collapse(sound, shown, name=REPLY, limits=config.limits()):
                        line.end(why, collapsed=True)
            models.release()

    # Judges read the explanations, without their score lines.
    replies = concatenate_datasets(said)
    read = replying.to_be_read(replies, config.guessed_rows, config.seed)
    for scorer in guessers:
        read = attach_scores(read, scorer, run=run, batch_size=config.batch_size)
    models.release()
    replies = replying.with_reading(replies, read)
    for scorer in graders:
        replies = attach_scores(replies, scorer, run=run, batch_size=config.batch_size)
    last = lines[0].last  # merged model of the main seed
    truths = arms.numeric(replies, [column for scorer in graders for column in scorer.columns])
    judges = {name: f"guess_{name}_score" for name in config.guessers}
    told = {"name": REPLY, "judges": judges, "kin": config.kin, "truths": truths, "seed": config.seed}
    told |= {"best": last, "rivals": arm_forms.rivals(last, replies.unique("arm"))}
    measured = run.from_main(measuring.measure(replies, **told) if run.is_main else None)
    results = run.results(**measured) | {"last": last, "refused": ratings.refused}
    results |= {"ended": {str(line.seed): line.ended for line in lines if line.ended}}
    results |= {"iterations": [one.told() for one in explained]}
    results |= {"merging": {name: error for line in lines for name, error in line.errors.items()}}
    results |= {"training": {name: adapter.train_metrics for name, adapter in trained.items()}}
    # As a decision model: its temperature is fitted on pictures that were neither trained on nor tested.
    decided = None
    if config.decision:
        wearing = next(one for one in worn if one.name == last)
        [replier] = scorers.build(config.replying(config.model(**wearing.model)))
        fitted_on = replies_to(held, replier, last, config.seed)
        tested = replying.of(replies, last, config.seed)
        decided = deciding.decided(fitted_on, tested, config.base_model, root, replier.prompt, adapter=last)
        models.release()
    results["decision"] = decided.told if decided else None
    results["nulls_replies"] = arms.nulls(replies, [f"{REPLY}_score", *judges.values(), *truths])

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    if run.is_main:
        release = ScoreAndExplainRelease(
            dataset_id=config.hub_dataset_id or hub.unpushed_id(config.dataset, "pairs"),
            model_id=config.hub_model_id or hub.unpushed_id(config.dataset, "critic"),
            source=ratings.source,
            base=root,
            splits=parts,
            explained=[one for one in explained if one.seed == config.seed],
            replies=replies,
            truths=truths,
            arms=seeds[config.seed],
            paths={one.name: one.path for one in worn if one.path},
            results=results,
            decided=decided,
            scorers=[explainer, replier, *guessers, *graders],
            paper=PAPER,
        )
        pictures = release.pictures()
        page = release.page(pictures)
        (run.output_dir / "report.html").write_text(page, encoding="utf-8")
        to = {"push": config.push_to_hub, "private": config.hub_private_repo}
        files = pictures | {"report.html": page}
        data = hub.publish_dataset(run, release.dataset_id, release.configs(), release.dataset_card(), files, **to)
        files = pictures | release.adapter_files()
        loras = hub.publish_adapter(run, release.model_id, release.paths, release.adapter_card(), files, **to)
        arms.show(run, results["arms"], release.columns_shown, {"replies": results["nulls_replies"]})
        hub.show(run, data, load=["replies"])
        hub.show_adapter(run, loras, release.loading())
    run.say(run.finish(results))
    return results


if __name__ == "__main__":
    with plain_errors():
        main()
