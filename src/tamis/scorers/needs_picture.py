"""Whether a question needs its picture: the judge is asked without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.prompts import source
from tamis.quiz.questions import Question, as_choice
from tamis.scorers.quiz import in_orders, most_likely, ordered
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features

MOST_OPTIONS = 26  # letters


@dataclass(frozen=True)
class NeedsPicture:
    """Columns of a dataset with a row a question, higher is better:

    - NAME_missed (float32, 0..1): in what share of orders of its options the judge, shown no picture, does not pick the
      key. A question below 0.5 is answered by its wording alone, or by what everybody knows.
    - NAME_surprise (float32, 0..1): 1 minus the mean probability of the key without a picture.

    A guess among four options misses three times in four: one order would drop a quarter of all good questions.
    None where question, options or answer cannot be read, or the judge refused.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the names of its columns"] = "needs_picture"
    question_column: Annotated[str, "the question"] = "question"
    options_column: Annotated[str, "its options"] = "options"
    answer_column: Annotated[str, "the right one of them"] = "answer"
    orders: Annotated[int, "orders of the options it is asked in"] = 8
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", source("quiz/blind", self.wording))
        if self.orders < 1:
            raise ValueError(f"orders: {self.orders} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.question_column, self.options_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{what}": Value("float32") for what in ("missed", "surprise")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return self.question_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"question": choice_of(row[self.question_column], row[self.options_column], row[self.answer_column])}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        asked = [
            judges.Request("", {"blind": as_choice(question, self.wording, None, "quiz/blind")})
            for question in batch["question"]
        ]
        turns = [in_orders(ordered(self.judge, number), asked, 1) for number in range(self.orders)]
        scored = {column: [] for column in [*self.columns, f"{self.name}_error"]}
        for question, *answers in zip(batch["question"], *turns, strict=True):
            told = [answer["blind"] for answer in answers]
            refused = next((one for one in told if isinstance(one, str)), None)
            known = [] if refused else told
            missed = sum(most_likely(one, question.answer) != question.answer for one in known)
            key = sum(one[question.answer] for one in known) / self.orders
            scored[f"{self.name}_missed"].append(None if refused else missed / self.orders)
            scored[f"{self.name}_surprise"].append(None if refused else 1 - key)
            scored[f"{self.name}_error"].append(refused)
        return scored


def choice_of(question: Any, options: Any, answer: Any, *, longest: int = 2000) -> Question:
    """A row's question; Unscorable where there is none, or its answer is not among its options.

    longest: characters of the question that are read.
    """
    from tamis.images import Unscorable

    asked, right = text(question, longest=longest), text(answer, longest=None)
    if not isinstance(options, list) or not all(isinstance(option, str) and option.strip() for option in options):
        raise Unscorable("options: not a list of texts")
    different = tuple(dict.fromkeys(options))
    if not 2 <= len(different) <= MOST_OPTIONS:
        raise Unscorable(f"options: not 2 to {MOST_OPTIONS} different ones")
    if right not in different:
        raise Unscorable("options: the answer is not among them")
    return Question("", 0, asked, different, right)
