# /// script
# requires-python = ">=3.11"
# dependencies = ["tamis==0.1.0"]
#
# [tool.hf-jobs]
# flavor = "l4x1"
# timeout = "2h"
# secrets = ["HF_TOKEN"]
# ///
r"""The small models and datasets of the embedded world: measured, trained, packaged, published.

Six models of real classes (CLIP, OWL-ViT, BLIP, a language model, LLaVA, Stable Diffusion) learn a world of drawn
scenes, so that every other recipe can be run, and its claim measured, on two CPU cores. Claim: each reaches the skills
that its card lists, on scenes it was not trained on. About five core-hours on a CPU for all; --only makes one.

    accelerate launch --config_file accelerate_configs/cpu.yaml recipes/tiny_zoo.py \
        --config recipes/tiny_zoo.yaml --only clip
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tamis.config import ConfigError, RunConfig, parse, plain_errors


@dataclass(kw_only=True)
class TinyZoo(RunConfig):
    output_dir: Annotated[str, "where training state, results.json and hub/ are written"] = "outputs/tiny_zoo"
    only: Annotated[
        list[Literal["clip", "detector", "blip-vqa", "llm", "vlm", "sd"]] | None,
        "train these; none: those whose packaged weights are missing or fall short",
    ] = None
    init_from: Annotated[
        Literal["scratch", "packaged"], "packaged: go on from the weights that are there, under the same lessons"
    ] = "scratch"
    steps: Annotated[int | None, "stop each lesson after so many steps: to try the way, not to get a model"] = None
    measured: Annotated[int, "about how many scenes or texts each skill is measured on"] = 300
    weights: Annotated[str | None, "folder of the packaged models; none: the package's own"] = None
    datasets: Annotated[bool, "publish the datasets too, not the models alone"] = True
    hub_namespace: Annotated[str | None, "whose repos to publish to, as OWNER/tiny-NAME"] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_below("steps", 1, math.inf)
        self.refuse_below("measured", 1, math.inf)
        if self.push_to_hub and not self.hub_namespace:
            raise ConfigError("hub_namespace: needed with push_to_hub (a user or an organisation)")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    config = parse(TinyZoo, argv, description=__doc__)
    from functools import partial
    from pathlib import Path

    from tamis import hub, tiny
    from tamis.run import Run
    from tamis.tiny.zoo import cards, making, measuring, packaging, sheets

    run = Run(config.output_dir, recipe="tiny_zoo", config=config, seed=config.seed, report_to=config.report_to)
    if run.accelerator.num_processes > 1:
        raise ConfigError("tiny_zoo: these models are too small to share out; start one process")
    weights = Path(config.weights or tiny.WEIGHTS)

    # ---- 1. Read -----------------------------------------------------------------------------------------------------
    there = [name for name in making.NAMES if packaging.is_whole(weights / name)]
    run.say(f"packaged: {', '.join(there) or 'none'}")

    # ---- 2. Score ----------------------------------------------------------------------------------------------------
    # What is asked for by name is trained in any case: no need to know what its old weights can do.
    found: dict[str, list[Any]] = {}
    for name in there if config.only is None else ():
        with run.stage(f"measure {name}"):
            found[name] = measuring.measure(name, weights / name, config.measured)

    # ---- 3. Select ---------------------------------------------------------------------------------------------------
    short = [name for name in making.NAMES if name not in there or not measuring.reached(found.get(name, []))]
    chosen = [name for name in making.NAMES if name in (config.only or short)]
    run.say(f"to train: {', '.join(chosen) or 'none'}")
    if config.dry_run:
        run.close()
        return {"dry_run": {"train": chosen}}

    # ---- 4. Train ----------------------------------------------------------------------------------------------------
    if config.push_to_hub:
        for name in chosen:
            hub.claim(run, f"{config.hub_namespace}/tiny-{name}", "model", private=config.hub_private_repo)
    workshop = making.Workshop(run.output_dir / "training", weights, config.init_from, config.steps, run.say)
    for name in chosen:
        with run.stage(f"train {name}"):
            workshop.make(name)
        with run.stage(f"measure {name}"):
            found[name] = measuring.measure(name, weights / name, config.measured)
        sheet, trained = sheets.sheet(name, weights / name), f"by `recipes/tiny_zoo.py` on {making.device()}"
        cards.write(weights / name, name, found[name], sheet, trained=trained)

    # ---- 5. Publish --------------------------------------------------------------------------------------------------
    results = run.results(
        arms={name: {skill.name: skill.row() for skill in found[name]} for name in found}, comparisons=[]
    )
    for seed in tiny.seeds(weights):
        if seed.repo_type == "dataset" and not config.datasets:
            continue
        repo_id = f"{config.hub_namespace or 'your-name'}/{seed.repo_id.replace('/', '-')}"
        build = partial(seed.build_as, repo_id)
        hub.publish_folder(
            run, repo_id, seed.repo_type, build, push=config.push_to_hub, private=config.hub_private_repo
        )
    measuring.show(run.say, found)
    run.say(run.finish(results))
    return results


if __name__ == "__main__":
    with plain_errors():
        main()
