"""What a judge says an image shows: to be compared with the text that the image was made for, or to stand for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import Unscorable, decode_image
from tamis.prompts import names, render, variables
from tamis.prompts.scale import SUBTASKS

if TYPE_CHECKING:
    from datasets import Features

SELF_REWARD = "self_reward/caption"
BY_SUBTASK = "scale/captions"


@dataclass(frozen=True)
class Caption:
    """Column NAME_text (string): the caption, on one line. It is no score; `text_similarity` compares it with another,
    and `rating` reads it in the picture's place.

    With task_column it says what the row's sub-task is about, by a prompt for each of SCALE's 15.

    None where the image cannot be read, nothing was written, or a sub-task is asked for and is null or none of the 15.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "caption"
    image_column: Annotated[str, "the image"] = "image"
    asked: Annotated[str, "prompt of tamis/prompts that asks for it; left out where there is a task_column"] = (
        SELF_REWARD
    )
    task_column: Annotated[str | None, "the row's sub-task, which decides the prompt; null: one for all"] = None
    max_new_tokens: Annotated[int, "tokens a caption may take"] = 96
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompts: Annotated[dict[str, str], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        if self.task_column is not None and self.asked != SELF_REWARD:
            raise ValueError(f"asked: {self.asked!r}; with a task_column it is {BY_SUBTASK}/SUBTASK, row by row")
        if self.asked not in names() or variables(self.asked, self.wording):
            raise ValueError(f"asked: {self.asked!r} is not accepted; expected a prompt that takes no variables")
        asked = [f"{BY_SUBTASK}/{one}" for one in SUBTASKS] if self.task_column else [self.asked]
        object.__setattr__(self, "prompts", {one: render(one, wording=self.wording) for one in asked})

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.task_column) if self.task_column else (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_text": Value("string")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        asked = f"{BY_SUBTASK}/{row[self.task_column]}" if self.task_column else self.asked
        if asked not in self.prompts:
            raise Unscorable("no sub-task")
        return {"image": decode_image(row[self.image_column]), "asked": asked}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        asks = [
            judges.Ask(self.prompts[asked], (image,))
            for image, asked in zip(batch["image"], batch["asked"], strict=True)
        ]
        replies = self.judge.write(asks, max_new_tokens=self.max_new_tokens, batch_size=len(asks))
        told = [" ".join(reply.split()) for reply in replies]
        return {
            f"{self.name}_text": [caption or None for caption in told],
            f"{self.name}_error": [None if caption else "nothing was written" for caption in told],
        }
