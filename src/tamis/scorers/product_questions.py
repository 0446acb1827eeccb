"""The writer of questions about products: a row is a listing, and its score the questions that a judge writes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import Unscorable, decode_image
from tamis.product_vqa.answers import DIFFICULTIES
from tamis.product_vqa.writing import Product, Written, write_questions
from tamis.prompts import source

if TYPE_CHECKING:
    from datasets import Features

LONGEST_LINE, MOST_LINES = 1000, 20  # characters of a bullet point, and so many of them


@dataclass(frozen=True)
class ProductQuestions:
    """Columns of a dataset with a row a listing. It is no score:

    - NAME_questions: the questions with their answers of one word, one of each difficulty, as far as they were right.
    - NAME_tries (int32): how often the judge was asked, 1 to `tries`.
    - NAME_left_out: the questions and replies that were refused in all tries, by reason and number.

    None where the image cannot be read, there are no bullet points, or no question was right; the reason names why.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "product_questions"
    image_column: Annotated[str | None, "the picture; null: the judge reads text alone"] = "image"
    title_column: Annotated[str | None, "the product's name; null: there is none"] = "title"
    bullets_column: Annotated[str, "the seller's text, a list of lines"] = "bullets"
    difficulties: Annotated[tuple[int, ...], "one question of each"] = DIFFICULTIES
    tries: Annotated[int, "times that the judge is asked, repairs included"] = 3
    max_new_tokens: Annotated[int, "tokens a reply may take"] = 1024
    temperature: Annotated[float, "how varied; 0: the likeliest words"] = 0.0
    seed: Annotated[int, "what the words are drawn from"] = 0
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "listings a kill can cost"] = 64
    prompts: Annotated[tuple[str, ...], "the wording's own texts: an edited one is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        names = ("write_questions", "repair")
        object.__setattr__(self, "prompts", tuple(source(f"product_vqa/{name}", self.wording) for name in names))
        if self.tries < 1:
            raise ValueError(f"tries: {self.tries} is not accepted; expected 1 or more")
        if not self.difficulties or strangers(self.difficulties):
            raise ValueError(
                f"difficulties: {list(self.difficulties)} is not accepted; expected some of {list(DIFFICULTIES)}"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        columns = (self.image_column, self.title_column, self.bullets_column)
        return tuple(column for column in columns if column is not None)

    @property
    def columns(self) -> Features:
        from datasets import Features, List, Value

        question = {"question": Value("string"), "answer": Value("string"), "difficulty": Value("int64")}
        reason = {"reason": Value("string"), "count": Value("int32")}
        return Features(
            {
                f"{self.name}_questions": List(question),
                f"{self.name}_tries": Value("int32"),
                f"{self.name}_left_out": List(reason),
            }
        )

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        image = decode_image(row[self.image_column]) if self.image_column else None
        title = row[self.title_column] if self.title_column else None
        return {"product": Product((title or "")[:LONGEST_LINE], bullet_points(row[self.bullets_column]), image)}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        written = write_questions(
            self.judge,
            batch["product"],
            difficulties=self.difficulties,
            tries=self.tries,
            wording=self.wording,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=self.seed,
        )
        rows = [self._row(one) for one in written]
        return {column: [row.get(column) for row in rows] for column in [*self.columns, f"{self.name}_error"]}

    def _row(self, written: Written) -> dict[str, Any]:
        left_out = written.left_out.most_common()
        if not written.questions:
            why = ", ".join(f"{reason} ({count})" for reason, count in left_out)
            return {f"{self.name}_error": f"no question: {why}"}
        return {
            f"{self.name}_questions": written.questions,
            f"{self.name}_tries": written.tries,
            f"{self.name}_left_out": [{"reason": reason, "count": count} for reason, count in left_out],
        }


def strangers(difficulties: tuple[int, ...]) -> list[int]:
    return [level for level in difficulties if level not in DIFFICULTIES]


def bullet_points(value: Any) -> tuple[str, ...]:
    if value is None:
        raise Unscorable("bullets: null")
    if not isinstance(value, list) or not all(line is None or isinstance(line, str) for line in value):
        raise Unscorable("bullets: not a list of texts")
    lines = tuple(line.strip()[:LONGEST_LINE] for line in value if line and line.strip())[:MOST_LINES]
    if not lines:
        raise Unscorable("bullets: empty")
    return lines
