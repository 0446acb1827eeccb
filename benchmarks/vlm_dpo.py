"""How fast are two LoRAs trained by DPO on pairs about pictures, against TRL's own trainer?

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python benchmarks/vlm_dpo.py --threads 1 --pairs 12

A LLaVA with random weights whose parts cost in the proportions of LLaVA-OneVision 0.5B on one tile: an encoding of a
picture about two thirds of a reading of prompt and reply, the picture's tokens most of a prompt. Two sets as one
iteration of score_and_explain has them: the same pictures, prompts and chosen replies, other rejected ones. One epoch
of each, rank 32, batches of 4 pairs. The peer is TRL's DPOTrainer on each set, as its documentation has it. Whole
calls are compared, from the model's folder to trained adapters, filling of caches and the reference pass counted:

- both sets in one call, nothing known before (an iteration's first);
- the same when the pictures have been seen (a later iteration: other reference, same eyes);
- the first set alone;
- both sets, prompts read for each reply by itself: what is left without the shared prompt;

and the steps alone, without all that goes before them. Losses are compared step by step. Times are of the processor,
so that other work on the machine hardly counts, if threads that wait do not spin (OMP_WAIT_POLICY); the clock stands
beside.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from datasets import Dataset, List, Value, disable_progress_bars
from measuring import Spent, report
from sd15 import pictures
from transformers import TrainerCallback

import tamis.tiny
from tamis.images import decode_image
from tamis.run import Run
from tamis.sources import pin
from tamis.training import dpo_training, trl_training
from tamis.training.dpo import DpoLora, train_dpo_loras
from tamis.training.dpo_probe import Way

READER = Path(tamis.tiny.__file__).parent / "weights" / "vlm"
WORDS = ("red", "star", "ring", "blue", "square", "left", "above", "two", "the", "green", "small", "large")
PROMPT, REPLY = 40, 60  # words


def build(folder: Path, *, wide: int, layers: int, seen_layers: int) -> None:
    from transformers import AutoConfig, AutoProcessor, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    processor = AutoProcessor.from_pretrained(READER, size={"height": 224, "width": 224}, patch_size=16)
    shape = {"hidden_size": wide, "num_attention_heads": wide // 64}
    text = {"model_type": "llama", "intermediate_size": 8 * wide // 3, "num_hidden_layers": layers}
    text |= {"vocab_size": 8192, "num_key_value_heads": wide // 64, "head_dim": 64, "initializer_range": 0.05}
    vision = {"model_type": "clip_vision_model", "image_size": 224, "patch_size": 16, "intermediate_size": 4 * wide}
    LlavaForConditionalGeneration(
        LlavaConfig(
            text_config=shape | text,
            vision_config=shape | vision | {"num_hidden_layers": seen_layers},
            image_token_index=AutoConfig.from_pretrained(READER).image_token_id,
            vision_feature_layer=-1,
        )
    ).save_pretrained(folder)
    processor.save_pretrained(folder)


def pairs(count: int, rejected: int) -> Dataset:
    """Chosen replies and prompts are those of every call, rejected ones of that number."""

    def words(many: int, *seed: int) -> str:
        return " ".join(np.random.default_rng(seed).choice(WORDS, many))

    def said(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}]

    rows = pictures(count, first=0, side=384)
    message = List({"role": Value("string"), "content": Value("string")})
    told = {
        "prompt": [said("user", words(PROMPT, 0)) for _ in range(count)],
        "chosen": [said("assistant", words(REPLY, 1, number)) for number in range(count)],
        "rejected": [said("assistant", words(REPLY, 2 + rejected, number)) for number in range(count)],
    }
    for name, column in told.items():
        rows = rows.add_column(name, column, feature=message)
    return rows


@dataclass
class Steps(TrainerCallback):
    """What the steps of trainings took, and their losses."""

    spent: list[Spent] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def on_train_begin(self, *told: Any, **more: Any) -> None:
        self.began = Spent.now()

    def on_train_end(self, *told: Any, **more: Any) -> None:
        self.spent.append(Spent.since(self.began))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        self.losses += [logs["loss"]] if "loss" in logs else []


@dataclass(frozen=True)
class Call:
    whole: Spent
    steps: Spent
    losses: list[float]

    @classmethod
    def of(cls, began: Spent, steps: Steps) -> Call:
        return cls(Spent.since(began), Spent(*(sum(of) for of in zip(*steps.spent, strict=True))), steps.losses)


def theirs(subsets: dict[str, Dataset], config: DpoLora, folder: Path) -> Call:
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import DPOConfig, DPOTrainer

    run, base = Run(folder), pin(config.base_model, "model")
    began, steps = Spent.now(), Steps()
    for name, rows in subsets.items():
        order = trl_training.Order(name, rows, name, folder / name, base, config, run)
        model = AutoModelForImageTextToText.from_pretrained(config.base_model)
        trainer = DPOTrainer(
            model.to(run.accelerator.device),
            args=DPOConfig(**trl_training.arguments(order, 1), beta=config.beta),
            train_dataset=rows.with_transform(_decoded),
            processing_class=AutoProcessor.from_pretrained(config.base_model),
            peft_config=trl_training.lora(config, model),
            callbacks=[steps],
        )
        trainer.train()
    run.close()
    return Call.of(began, steps)


def _decoded(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return batch | {"image": [decode_image(image) for image in batch["image"]]}


def ours(subsets: dict[str, Dataset], config: DpoLora, folder: Path, features: Path, *, shares: bool = True) -> Call:
    run, steps = Run(folder), Steps()
    make, look = dpo_training.Clock, dpo_training.way_of

    def with_steps(order: Any) -> Any:
        clock = make(order)
        for name in ("on_train_begin", "on_train_end", "on_log"):
            setattr(clock, name, getattr(steps, name))
        return clock

    dpo_training.Clock = with_steps
    if not shares:
        dpo_training.way_of = lambda *told: Way(not_shared="asked for")
    try:
        began = Spent.now()
        train_dpo_loras(subsets, config, run, features=features)
        return Call.of(began, steps)
    finally:
        dpo_training.Clock, dpo_training.way_of = make, look
        run.close()


def turn(folder: Path, config: DpoLora, count: int) -> dict[str, Call]:
    sets = {"scoring": pairs(count, 1), "consistency": pairs(count, 2)}
    later = {"scoring": pairs(count, 3), "consistency": pairs(count, 4)}
    first = {"scoring": sets["scoring"]}
    calls = {"trl": theirs(sets, config, folder / "trl")}
    calls["both"] = ours(sets, config, folder / "both", folder / "features")
    calls["later"] = ours(later, config, folder / "later", folder / "features")
    calls["trl_first"] = theirs(first, config, folder / "trl-first")
    calls["first"] = ours(first, config, folder / "first", folder / "features-first")
    calls["unshared"] = ours(sets, config, folder / "unshared", folder / "features-unshared", shares=False)
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=16, help="of each set")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wide", type=int, default=384, help="of both towers; 896 beside a GPU")
    parser.add_argument("--layers", type=int, default=8, help="of the language model; 24 beside a GPU")
    parser.add_argument("--seen_layers", type=int, default=10, help="of the vision tower; 26 beside a GPU")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    disable_progress_bars()
    turns = []
    with TemporaryDirectory() as name:
        base = Path(name) / "model"
        build(base, wide=given.wide, layers=given.layers, seen_layers=given.seen_layers)
        config = DpoLora(base_model=str(base), train_batch_size=4, learning_rate=1e-4, checkpoint_seconds=3600.0)
        for number in range(given.runs):
            turns.append(turn(Path(name) / str(number), config, given.pairs))
            print({what: (call.whole, call.steps) for what, call in turns[-1].items()}, file=sys.stderr, flush=True)

    def ratios(peer: str, call: str, clock: str = "processor", part: str = "whole") -> dict[str, float]:
        each = [
            getattr(getattr(calls[peer], part), clock) / getattr(getattr(calls[call], part), clock) for calls in turns
        ]
        return {"median": round(statistics.median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}

    def on_both_clocks(peer: str, call: str) -> dict[str, dict[str, float]]:
        return {"processor": ratios(peer, call), "clock": ratios(peer, call, "wall")}

    def pairs_per_second(call: str) -> float:
        return round(statistics.median(2 * given.pairs / calls[call].whole.wall for calls in turns), 3)

    report(
        "vlm_dpo",
        {
            "model": f"LLaVA, random weights, {given.layers} layers of {given.wide}, eyes {given.seen_layers}",
            "pairs": given.pairs,
            "runs": given.runs,
            "threads": given.threads,
            "both_sets": {"processor": ratios("trl", "both"), "clock": ratios("trl", "both", "wall")},
            "both_sets_later": {"processor": ratios("trl", "later"), "clock": ratios("trl", "later", "wall")},
            "first_set_alone": {
                "processor": ratios("trl_first", "first"),
                "clock": ratios("trl_first", "first", "wall"),
            },
            "prompts_not_shared": {
                "processor": ratios("trl", "unshared"),
                "clock": ratios("trl", "unshared", "wall"),
            },
            "steps_alone": ratios("trl", "both", part="steps"),
            "steps_alone_prompts_not_shared": ratios("trl", "unshared", part="steps"),
            "pairs_per_second": {call: pairs_per_second(call) for call in ("trl", "both", "later", "unshared")},
            "largest_difference_of_losses": max(
                abs(one - other)
                for calls in turns
                for call in ("both", "unshared")
                for one, other in zip(calls[call].losses, calls["trl"].losses, strict=True)
            ),
            "losses_go_from_to": [turns[0]["trl"].losses[0], turns[0]["trl"].losses[-1]],
        },
    )


if __name__ == "__main__":
    main()
