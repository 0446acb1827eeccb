# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "l4x1"
# timeout = "12h"
# secrets = ["HF_TOKEN", "OPENAI_API_KEY"]
# ///
r"""Class-conditional self-reward (arXiv 2405.13473): a text-to-image model is tuned on the best of its own pictures.

For each prompt about a class the model draws ten pictures; a judge answers ten questions about each, a detector looks
for the class, and a LoRA is trained on every prompt's best. What it draws for prompts that were held out is compared
with the base model's, from the same noise. Claim: the LoRA wins by CLIP similarity, which selected nothing.

    accelerate launch --config_file accelerate_configs/single_gpu.yaml recipes/self_reward_lora.py \
        --config recipes/self_reward_lora.24gb.yaml --classes elephant giraffe --push_to_hub \
        --hub_model_id USER/LORA --hub_dataset_id USER/PICTURES
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from tamis.arm_settings import ArmSettings
from tamis.config import RunConfig, parse, plain_errors
from tamis.self_reward.settings import SelfRewardSettings
from tamis.training.diffusion_lora import DiffusionLora

SD = "stable-diffusion-2-1-base"
PAPER = {  # what it and its code state; behind that, other names of the same
    "writer": ("Mistral-7B-Instruct-v0.2", "mistralai/Mistral-7B-Instruct-v0.2"),
    "prompts_per_class": (100,),
    "candidates_per_prompt": (10,),
    "judge": ("LLaVA-1.5-7B", "llava-hf/llava-1.5-7b-hf"),
    "ranking": ("faithful",),
    "detector": ("YOLO-World",),
    "base_model": ("Stable Diffusion 2.1 base", f"stabilityai/{SD}", f"sd2-community/{SD}"),
    "lora_r": (4,),
    "num_train_epochs": (100,),
    "train_batch_size": (18,),
    "learning_rate": (1e-4,),
}
CLAIM = "a win rate of 70 % for two classes, its abstract at least 60 %: two different claims"
CLAIMS = {"the abstract: 60 %": 0.6, "the paper: 70 %": 0.7}


@dataclass(kw_only=True)
class SelfReward(SelfRewardSettings, ArmSettings, DiffusionLora, RunConfig):
    output_dir: Annotated[str, "where journal, adapters, results.json, report.html and hub/ are written"] = (
        "outputs/self_reward_lora"
    )
    limit: Annotated[int | None, "take the first N prompts of each class, use and complexity only"] = None
    batch_size: Annotated[int, "pictures a judge's call; halved by itself when memory runs out"] = 16
    arms: Annotated[
        list[str],
        "what is trained and compared: none, and of each prompt's pictures top-K, bottom-K, random-K, caption-K; "
        "top-Ppct: of all pictures; .dpo: each beside its prompt's worst",
    ] = field(default_factory=lambda: ["none", "random-1", "bottom-1", "top-1"])
    per_class: Annotated[bool, "a LoRA for each class, instead of one over all of them"] = False
    rounds: Annotated[int, "rounds: the LoRA of one generates for the next, whose LoRA starts from the base again"] = 1
    most_diversity_lost: Annotated[float, "share of the first round's diversity; no round follows that loses more"] = (
        0.3
    )
    images_per_prompt: Annotated[int, "pictures a held-out prompt and arm; their noise is the same in all arms"] = 4

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        SelfRewardSettings.__post_init__(self)
        DiffusionLora.__post_init__(self)
        from tamis.self_reward.choosing import FORMS

        self.refuse_unfit_arms(FORMS)
        self.refuse_unfit_choices(self.by_seed(FORMS)[self.seed])
        self.refuse_unnamed("hub_model_id", "hub_dataset_id")
        for name in ("batch_size", "rounds", "images_per_prompt"):
            self.refuse_below(name, 1)
        self.refuse_below("most_diversity_lost", 0, 1)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(SelfReward, argv, description=__doc__)
    from tamis import arm_names, arms, drawings, dry_run, grading, hub, models, scorers, scoring
    from tamis.run import Run
    from tamis.scoring import attach_scores
    from tamis.self_reward import choosing, prompts, rounds
    from tamis.self_reward.dry_run import estimate
    from tamis.self_reward.release import SelfRewardRelease
    from tamis.sources import pin
    from tamis.training.diffusion_lora import train_diffusion_loras

    writers = scorers.build(config.writing())
    rewards = scorers.build(config.rewards())
    graders = scorers.build([*config.graders(), *config.grading], image_column="image")
    clip = scorers.build(config.onlooker(), image_column="image")
    referee = scorers.build(config.referee())
    drawing = config.drawing()
    seeds = config.by_seed(choosing.FORMS)
    best = arm_names.headline(seeds[config.seed])
    run = Run(config.output_dir, recipe="self_reward_lora", config=config, seed=config.seed, report_to=config.report_to)

    # ---- 1. Read -----------------------------------------------------------------------------------------------------
    # Whatever would end a run in its last act is said now, before hours are spent.
    told, used = rounds.features(), {"clip": "clip_embedding"}
    scoring.refuse_unfit(told, [drawing, *rewards], ranked=choosing.needs(config.reward), used=used)
    scoring.refuse_unfit(told, [drawing, *graders], ranked={}, used=used | {"pairwise_column": config.paired_by})
    last = clip if config.unrelated_prompts else []
    scoring.pin_models([*writers, drawing, *rewards, *graders, *referee, *last], run)
    if config.push_to_hub and not config.dry_run:  # may we write there?
        hub.claim(run, config.hub_dataset_id, "dataset", private=config.hub_private_repo)
        hub.claim(run, config.hub_model_id, "model", private=config.hub_private_repo)
    gathered = prompts.gather(config, writers, run)
    cut = prompts.too_long(gathered.table["prompt"][:], config.base_model, config.base_revision)
    for line in gathered.said(cut):
        run.say(line)
    if config.dry_run:
        scored = {"writing": writers, "rewarding": rewards, "grading": [*graders, *referee, *last]}
        figures = estimate(gathered.table, scored, drawing, seeds, config, run=run)
        dry_run.show(run, figures)
        run.close()
        return {"dry_run": dict(figures)}

    asked, refused = gathered.table, dict(gathered.refused)
    pools, history, choices, paths, wearing, untrained, ended = [], [], [], {}, {}, {}, None
    for number in range(1, config.rounds + 1):
        leader = rounds.leader(seeds[config.seed], number)

        # ---- 2. Score ------------------------------------------------------------------------------------------------
        pool = rounds.to_generate(asked, config.candidates_per_prompt, number=number, seed=config.seed, wearing=wearing)
        pool = attach_scores(pool, drawing, run=run, batch_size=config.eval_batch_size)
        for reward in rewards:
            pool = attach_scores(pool, reward, run=run, batch_size=config.batch_size)
        models.release()
        pool = drawings.with_diversity(pool, ["prompt_id"])

        # ---- 3. Select -----------------------------------------------------------------------------------------------
        pool = choosing.with_rank(pool, rewards, reward=config.reward)
        pools.append(pool)
        history.append(rounds.summary(pool, number, reward=config.reward))
        run.say(rounds.said(history[-1]))
        ended = rounds.ended(history, config.most_diversity_lost)
        if ended:
            run.say(f"no further round is trained: {ended}")
            break
        unseen = history[-1]["unseen"]
        for label, why in unseen.items():
            run.say(f"left out: {label}: {why}")
        refused |= unseen
        asked = prompts.without(asked, unseen)
        wanted = seeds if number == 1 else {config.seed: [leader]}
        made, empty = choosing.choose_all(pool, wanted, unseen, reward=config.reward, per_class=config.per_class)
        for name, why in empty.items():
            run.say(f"not trained: {name}: {why}")
        choices += made
        untrained |= empty

        # ---- 4. Train ------------------------------------------------------------------------------------------------
        folders = choosing.folders(choices, config.seed)
        steps = choosing.steps(choices, best, config)
        for worse_column, some in choosing.by_loss(made).items():
            adapters = train_diffusion_loras(
                {folders[choice]: choice.rows for choice in some},
                config,
                run,
                caption_column="prompt",
                worse_column=worse_column,
                steps={folders[choice]: steps[choice.topic] for choice in some},
            )
            paths |= {choice: adapters[folders[choice]].path for choice in some}
        models.release()
        wearing = rounds.wearing(made, paths, leader, seed=config.seed, classes=asked["class"][:])

    # What they draw for prompts that were held out, from noise that all arms share.
    drawn = rounds.to_grade(asked, choices, paths, config.images_per_prompt)
    drawn = attach_scores(drawn, drawing, run=run, batch_size=config.eval_batch_size)
    for grader in graders:
        drawn = attach_scores(drawn, grader, run=run, batch_size=config.batch_size)
    drawn = drawings.with_diversity(drawn, ("arm", "seed", "prompt_id"))
    others = None
    if config.unrelated_prompts:
        others = rounds.to_retain(asked, config.unrelated_prompts, choices, paths)
        others = attach_scores(others, drawing, run=run, batch_size=config.eval_batch_size)
        others = drawings.with_retention(attach_scores(others, clip[0], run=run, batch_size=config.batch_size))
    contests = None
    if config.pairwise:
        met = arm_names.contests([choice.arm for choice in choices])
        contests = drawings.pairs(drawn, met, config.pairwise_column, unit="prompt_id")
        contests = attach_scores(contests, referee[0], run=run, batch_size=config.batch_size)
    models.release()
    won = arms.numeric(drawn, [column for grader in graders for column in grader.columns])
    metrics = [*won, "diversity"]
    measured = grading.measure(
        drawn,
        metrics,
        best=best,
        clusters=rounds.clusters(asked),
        unrelated=others,
        contests=contests,
        won=[metric for metric in won if not metric.startswith("detection_")],  # the detector selected too
        parts=["complexity", "class"],
        apart=["complexity", "class"],
        seed=config.seed,
    )
    run.nulls = rounds.nulls(pools, [column for reward in rewards for column in reward.columns])
    results = run.results(arms=measured.pop("arms"), comparisons=measured.pop("comparisons")) | measured
    results |= {"prompts": gathered.counts(), "left_out": gathered.left_out, "cut": cut}
    results |= {"refused": refused, "untrained": untrained, "rounds": history, "ended": ended}
    results["nulls_drawn"] = drawings.nulls(drawn, metrics, contests)

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    if run.is_main:
        release = SelfRewardRelease(
            dataset_id=config.hub_dataset_id or hub.unpushed_id(config.dataset or "self-reward", "pictures"),
            model_id=config.hub_model_id or hub.unpushed_id(config.dataset or "self-reward", "lora"),
            source=gathered.source,
            base=pin(config.base_model, "model", config.base_revision),
            prompts=gathered.table,
            pools=pools,
            drawn=drawn,
            choices=choices,
            folders=folders,
            paths=paths,
            results=results,
            best=best,
            metrics=metrics,
            rewards=rewards,
            graders=graders,
            reward=config.reward,
            seed=config.seed,
            paper=PAPER,
            claim=CLAIM,
            claims=CLAIMS,
        )
        pictures = release.pictures()
        page = release.page(pictures)
        (run.output_dir / "report.html").write_text(page, encoding="utf-8")
        to = {"push": config.push_to_hub, "private": config.hub_private_repo}
        data = hub.publish_dataset(
            run, release.dataset_id, release.configs(), release.dataset_card(), pictures | {"report.html": page}, **to
        )
        saved = {folder: paths[choice] for choice, folder in folders.items()}
        loras = hub.publish_adapter(run, release.model_id, saved, release.adapter_card(), pictures, **to)
        told = {"generated pictures": results["nulls"], "drawn pictures": results["nulls_drawn"]}
        arms.show(run, results["arms"], release.columns_shown, told)
        hub.show(run, data, load=["scores", best])
        hub.show_adapter(run, loras, release.loading())
    run.say(run.finish(results))
    return results


if __name__ == "__main__":
    with plain_errors():
        main()
