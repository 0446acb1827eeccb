"""How many tokens of the answer does the prediction hold, by contextual embeddings?"""

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
class Bertscore:
    """Columns NAME_precision, NAME_recall, NAME_f1 (float32, -1..1, in practice 0.8..1; higher is better): each token's
    largest cosine with a token of the other text, mean over the prediction's, the answer's, and their harmonic mean.
    1 is the same text. NAME_precision_rescaled and so on, where there is a baseline: 0 is what unrelated texts get, so
    that values spread; below 0 is possible. None where either text is null, or the answer is empty; an empty prediction
    scores 0, raw.
    """

    name: Annotated[str, "begins the names of its columns"] = "bertscore"
    model: Annotated[str, "encoder on the Hub, or a folder"] = "FacebookAI/roberta-large"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    layer: Annotated[int | None, "whose embeddings are compared; null: the one known of this model"] = None
    baseline: Annotated[list[float] | None, "precision, recall, f1 of unrelated texts; null: the known"] = None
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], "16 bits move a score by thousandths"] = "float32"
    prediction_column: Annotated[str, "what the model answered"] = "prediction"
    answer_column: Annotated[str, "what is true"] = "answer"
    longest_text: Annotated[int, "characters read of a text"] = 8192
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        refuse_without("evaluate")
        from tamis.metrics.bert_score.bert_score import layer_of

        # A model without a known layer and an odd baseline are refused before anything loads.
        layer_of(self.model, self.layer)
        self._baseline()

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.prediction_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        kinds, forms = ("precision", "recall", "f1"), ("", "_rescaled") if self._baseline() else ("",)
        return Features({f"{self.name}_{kind}{form}": Value("float32") for form in forms for kind in kinds})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.prediction_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return prediction_and_answer(row, self.prediction_column, self.answer_column, longest=self.longest_text)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from tamis.metrics.bert_score.bert_score import bert_score, load

        pinned = pin(self.model, "model", self.revision).revision
        options = {"layer": self.layer, "revision": pinned, "device": str(models.device()), "dtype": self.dtype}
        encoder = models.hold(("bertscore", self.model, *options.values()), lambda: load(self.model, **options))
        predictions, answers = batch["prediction"], batch["answer"]
        rows = bert_score(predictions, answers, encoder, baseline=self._baseline(), batch_size=len(answers))
        return {column.replace("bertscore", self.name, 1): values for column, values in rows.items()}

    def _baseline(self) -> tuple[float, float, float] | None:
        from tamis.metrics.bert_score.bert_score import baseline_of

        return baseline_of(self.model, self.layer, self.baseline)
