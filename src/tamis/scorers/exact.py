"""Is the answer the right one, to the letter?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis.texts import prediction_and_answer

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Exact:
    """Column NAME_match (float32, 0 or 1; higher is better): 1 is the same text, lower-cased and stripped; articles,
    plurals and punctuation count.

    Its mean is the share of exact matches; weighted by difficulty (tamis.metrics.stats.mean(weights=...)) it is Average
    Mark. None where either text is null, or the answer is empty; an empty prediction is a wrong answer.
    """

    name: Annotated[str, "begins the name of its column"] = "exact"
    prediction_column: Annotated[str, "what the model answered"] = "prediction"
    answer_column: Annotated[str, "what is true"] = "answer"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.prediction_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_match": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return prediction_and_answer(row, self.prediction_column, self.answer_column, longest=None)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from tamis.metrics.exact_match.exact_match import exact_match

        return {f"{self.name}_match": exact_match(batch["prediction"], batch["answer"])}
