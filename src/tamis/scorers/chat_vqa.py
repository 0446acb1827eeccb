"""A chat model's answer to a question a row, in a word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.prompts import render, source
from tamis.vqa.asked import first_word, question_of

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class ChatVqa:
    """Column NAME_answer (string): the first word that the model writes, without markup, quotes and punctuation around
    it, its case as written. It is no score; `exact`, `wups` and others compare it with the right answer.

    Empty where no word was written. None where the image cannot be read, or there is no question.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "chat_vqa"
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    answer_tokens: Annotated[int, "tokens a reply may take"] = 16
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source("product_vqa/answer", self.wording))
        if self.answer_tokens < 1:
            raise ValueError(f"answer_tokens: {self.answer_tokens} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.question_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_answer": Value("string")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question = question_of(row, self.question_column)
        return {"question": question, "image": decode_image(row[self.image_column])}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        asks = [
            judges.Ask(render("product_vqa/answer", wording=self.wording, question=question), (image,))
            for image, question in zip(batch["image"], batch["question"], strict=True)
        ]
        replies = self.judge.write(asks, max_new_tokens=self.answer_tokens, batch_size=len(asks))
        return {f"{self.name}_answer": [first_word(reply) for reply in replies]}
