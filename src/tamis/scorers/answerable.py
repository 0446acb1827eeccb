"""Whether a judge finds the answer of a question: from the picture alone, and from the seller's text alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.product_vqa.answers import same_form
from tamis.prompts import render, source
from tamis.scorers.product_questions import bullet_points
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

SHOWN = 200  # characters of a reply that are kept


@dataclass(frozen=True)
class Answerable:
    """Columns of a dataset with a row a question; the judge writes an answer, and it counts if it is the row's but for
    case and signs around it. It is no score, since an answer in the text is no merit of a question about a picture:

    - NAME_from_picture (float32, 0 or 1): 1, the judge answered rightly, shown the picture and no text.
    - NAME_from_text (float32, 0 or 1): 1, it answered rightly from title and bullet points, shown no picture.
    - NAME_picture_reply, NAME_text_reply: what it wrote.

    1 and 0: the picture is needed and enough. 0 and 1: what is asked cannot be seen, or not by this judge. Another
    judge than the questions' writer says more. `visual_gain` beside it tells by how much the picture adds to the
    probability of the answer, where this tells whether it is found.

    None where image, question, answer or text cannot be read, or nothing was written. Without bullets_column, for sets
    that were published without the text, there are no columns of the text.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "answerable"
    text_judge: Annotated[dict[str, Any] | None, "the judge that is shown the text; null: the same"] = None
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "the question"] = "question"
    answer_column: Annotated[str, "the right answer"] = "answer"
    title_column: Annotated[str | None, "the product's name; null: there is none"] = "title"
    bullets_column: Annotated[str | None, "the seller's text, a list of lines; null: there is none"] = "bullets"
    max_new_tokens: Annotated[int, "tokens an answer may take"] = 16
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost; two local judges are each loaded anew for so many"] = 512
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        if self.text_judge is not None:
            object.__setattr__(self, "text_judge", judges.build(self.text_judge, f"{self.name}: text_judge"))
        names = ("answer", "answer_from_text")
        object.__setattr__(self, "prompts", tuple(source(f"product_vqa/{name}", self.wording) for name in names))

    @property
    def inputs(self) -> tuple[str, ...]:
        columns = (self.image_column, self.question_column, self.answer_column)
        told = (self.title_column, self.bullets_column) if self.bullets_column else ()
        return tuple(column for column in (*columns, *told) if column is not None)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        shown = ("picture", "text") if self.bullets_column else ("picture",)
        right = {f"{self.name}_from_{what}": Value("float32") for what in shown}
        return Features(right | {f"{self.name}_{what}_reply": Value("string") for what in shown})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return tuple(dict.fromkeys(self.judge.models + (self.text_judge or self.judge).models))

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        question = text(row[self.question_column], longest=2000, what="question")
        told = {"image": decode_image(row[self.image_column]), "question": question}
        told["answer"] = text(row[self.answer_column], longest=500, what="answer")
        if self.bullets_column:
            title = row[self.title_column] if self.title_column else None
            lines = bullet_points(row[self.bullets_column])
            told["text"] = " ".join([title.strip(), *lines] if title and title.strip() else lines)
        return told

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        asks = [
            judges.Ask(render("product_vqa/answer", wording=self.wording, question=question), (image,))
            for question, image in zip(batch["question"], batch["image"], strict=True)
        ]
        replies = {"picture": self._written(self.judge, asks)}
        if self.bullets_column:
            told = zip(batch["question"], batch["text"], strict=True)
            name = "product_vqa/answer_from_text"
            asks = [judges.Ask(render(name, wording=self.wording, question=one, text=other)) for one, other in told]
            replies["text"] = self._written(self.text_judge or self.judge, asks)
        silent = ["nothing was written" if not all(one) else None for one in zip(*replies.values(), strict=True)]
        scored: dict[str, list[Any]] = {f"{self.name}_error": silent}
        for shown, written in replies.items():
            right = [same_form(one) == same_form(answer) for one, answer in zip(written, batch["answer"], strict=True)]
            scored[f"{self.name}_from_{shown}"] = [
                None if reason else float(value) for value, reason in zip(right, silent, strict=True)
            ]
            scored[f"{self.name}_{shown}_reply"] = [
                None if reason else one for one, reason in zip(written, silent, strict=True)
            ]
        return scored

    def _written(self, judge: Any, asks: list[judges.Ask]) -> list[str]:
        replies = judge.write(asks, max_new_tokens=self.max_new_tokens, batch_size=len(asks))
        return [" ".join(reply.split())[:SHOWN] for reply in replies]
