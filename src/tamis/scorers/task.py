"""Which of SCALE's 15 sub-tasks a conversation about a picture sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.prompts import render, source
from tamis.prompts.scale import SUBTASKS
from tamis.prompts.tags import kept_inside
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

PROMPT = "scale/task"


@dataclass(frozen=True)
class Task:
    """The skill that a row's text demands most, as a judge reads it; it never sees the picture. It is no score:

    - NAME_subtask (string): the likeliest of 15, by MMBench's label.
    - NAME_category (string): the one of six that it belongs to, likewise.
    - NAME_probability (float32, 0..1): of that sub-task. Of a chat model it is not calibrated.

    There is always one: text that sets no task about a picture has the likeliest, with a low probability at best. Of a
    longer text the first longest_text characters are read. The judge's order_seed shuffles the 15 for each row; a model
    that learnt them in one order needs `order_seed: null`.

    None where there is no text, or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "task"
    text_column: Annotated[str, "the whole conversation, a line a turn"] = "text"
    longest_text: Annotated[int, "characters read of a text"] = 16_000
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source(PROMPT, self.wording))
        if self.longest_text < 1:
            raise ValueError(f"longest_text: {self.longest_text} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        kinds = {"subtask": Value("string"), "category": Value("string"), "probability": Value("float32")}
        return Features({f"{self.name}_{what}": kind for what, kind in kinds.items()})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return self.text_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        told = text(row[self.text_column], longest=self.longest_text, what=self.text_column)
        return {"conversation": kept_inside(told, "conversation")}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        requests = [judges.Request("", {"task": self._question(told)}) for told in batch["conversation"]]
        answers = [one["task"] for one in self.judge.decide(requests, batch_size=len(requests))]
        taken = [None if "error" in one else one["choice"] for one in answers]
        return {
            f"{self.name}_subtask": taken,
            f"{self.name}_category": [one and SUBTASKS[one].category for one in taken],
            f"{self.name}_probability": [
                one and answer["probabilities"][one] for one, answer in zip(taken, answers, strict=True)
            ],
            f"{self.name}_error": [one.get("error") for one in answers],
        }

    def _question(self, told: str) -> dict[str, Any]:
        """Models of a few million parameters learnt the names alone."""
        described = self.wording == "full"
        options = {name: one.description if described else None for name, one in SUBTASKS.items()}
        asked = render(PROMPT, wording=self.wording, conversation=told)
        return {"type": "choice", "instructions": asked, "criteria": options}
