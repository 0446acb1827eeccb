"""How many words of the answer are right, synonyms and stems among them?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis.needs import refuse_without, refuse_without_wordnet
from tamis.texts import prediction_and_answer

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Meteor:
    """Column NAME_score (float32, 0..1; higher is better): METEOR by NLTK (alpha 0.9, beta 3, gamma 0.5).

    A perfect answer of one word scores 0.5, of two 0.94, of five 0.996: the penalty for fragments takes half of a
    single match. Needs WordNet 3.0, NLTK's or Debian's. None where either text is null, or the answer is empty; an
    empty prediction is a wrong answer.
    """

    name: Annotated[str, "begins the name of its column"] = "meteor"
    prediction_column: Annotated[str, "what the model answered"] = "prediction"
    answer_column: Annotated[str, "what is true"] = "answer"
    longest_text: Annotated[int, "characters read of a text"] = 8192
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        refuse_without("evaluate")
        refuse_without_wordnet()

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.prediction_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_score": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return self.prediction_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return prediction_and_answer(row, self.prediction_column, self.answer_column, longest=self.longest_text)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from tamis.metrics.meteor.meteor import meteor

        return {f"{self.name}_score": meteor(batch["prediction"], batch["answer"])}
