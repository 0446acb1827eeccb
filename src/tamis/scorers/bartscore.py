"""How likely does a sequence-to-sequence model find the answer given the prediction, and the other way?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis import models
from tamis.needs import refuse_without
from tamis.sources import pin
from tamis.texts import prediction_and_answer

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Bartscore:
    """Columns NAME_forward, NAME_backward, NAME_mean (float32, 0 or less; higher is better).

    The mean log-probability of a token of the answer given the prediction, of the prediction given the answer, and the
    mean of both. With exponential, their exp(): the geometric mean of the probabilities, 0..1. Values of different
    models do not compare, and the same text twice is not 0. None where either text is null, or the answer is empty; an
    empty prediction is scored as it is.
    """

    name: Annotated[str, "begins the names of its columns"] = "bartscore"
    model: Annotated[str, "sequence-to-sequence model on the Hub, or a folder"] = "facebook/bart-large-cnn"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], "16 bits move a score by thousandths"] = "float32"
    exponential: Annotated[bool, "exp() of each value"] = False
    prediction_column: Annotated[str, "what the model answered"] = "prediction"
    answer_column: Annotated[str, "what is true"] = "answer"
    longest_text: Annotated[int, "characters read of a text"] = 8192
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        refuse_without("evaluate")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.prediction_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{kind}": Value("float32") for kind in ("forward", "backward", "mean")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.prediction_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return prediction_and_answer(row, self.prediction_column, self.answer_column, longest=self.longest_text)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from tamis.metrics.bart_score.bart_score import bart_score, load

        pinned = pin(self.model, "model", self.revision).revision
        options = {"revision": pinned, "device": str(models.device()), "dtype": self.dtype}
        generator = models.hold(("bartscore", self.model, *options.values()), lambda: load(self.model, **options))
        predictions, answers = batch["prediction"], batch["answer"]
        rows = bart_score(predictions, answers, generator, batch_size=len(answers), exponential=self.exponential)
        return {column.replace("bartscore", self.name, 1): values for column, values in rows.items()}
