"""Which model answers which benchmark questions, and its answers as rows: one for each arm, seed and question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.arm_names import folder
from tamis.scale_select.arm_forms import BASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from datasets import Dataset

ANSWER = "benchmark"  # begins the columns of what is answered
READ_AS = {"letters": ANSWER, "words": f"{ANSWER}_words"}  # how options are read, and the scorer that does
ASKED_TASK = "asked_task"
KEPT = ("row_id", "benchmark", "picture", "task", "question", "answer")


@dataclass(frozen=True)
class Sitting:
    """One model at the benchmark."""

    arm: str
    seed: int
    adapter: Path | None  # None: the model as it is

    def answers(self, scored: Dataset) -> Dataset:
        """What it answered, without the pictures."""
        from datasets import Value

        own = [name for name in scored.column_names if name.startswith(f"{ANSWER}_")]
        told = scored.select_columns([*KEPT, *own])
        told = told.add_column("arm", [self.arm] * len(told), feature=Value("string"))
        return told.add_column("seed", [self.seed] * len(told), feature=Value("int64"))


def sittings(by_seed: Mapping[int, Iterable[str]], paths: Mapping[str, Path], *, main_seed: int) -> list[Sitting]:
    """The model as it is, once, and every adapter. by_seed: names of arms, base among them or not."""
    found = [Sitting(BASE, main_seed, None)]
    for seed, names in by_seed.items():
        found += [Sitting(name, seed, paths[folder(name, seed, main_seed)]) for name in names if name != BASE]
    return found


def metrics(config: Any) -> list[str]:
    """What an arm is measured by, the leading one first: accuracy, and the probability of the right option."""
    return [f"{READ_AS[way]}_{what}" for way in config.option_reading for what in ("accuracy", "probability")]


def scorers(config: Any, adapter: Path | None) -> list[dict[str, Any]]:
    """Settings of the scorers that ask the model, with what was tuned on an arm. config: the recipe's."""
    shared = {"scorer": "multiple_choice", "judge": _model(config, adapter), "wording": config.wording}
    shared |= {"text_only": True}  # whether such questions are read is the benchmark's setting
    own = {"letters": {"orders": config.option_orders}, "words": {"reply_begun": config.reply_begun}}
    return [shared | {"name": READ_AS[way], "option_reading": way} | own[way] for way in config.option_reading]


def replier(config: Any, adapter: Path | None) -> dict[str, Any]:
    """Settings of the scorer that has it reply in words."""
    return {"scorer": "reply", "judge": _model(config, adapter), "max_new_tokens": config.reply_tokens}


def tasker(config: Any) -> dict[str, Any]:
    """Settings of the scorer that reads the task of a question: the stage's own, under a name of its own."""
    [settings] = config.stages()["task"]
    return settings | {"name": ASKED_TASK}


def _model(config: Any, adapter: Path | None) -> dict[str, Any]:
    known = {"model": config.base_model, "revision": config.base_revision, "max_pixels": config.max_pixels}
    if adapter is None:
        return known
    if config.tuning == "lora":
        return known | {"adapter": str(adapter)}
    return known | {"model": str(adapter), "revision": None}
