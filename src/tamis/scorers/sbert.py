"""How alike do prediction and answer mean, by their sentence embeddings?"""

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
class Sbert:
    """Column NAME_cosine (float32, -1..1; higher is better): the cosine of the two embeddings by a
    SentenceTransformer; 1 is the same meaning as the model sees it.

    Unrelated words are rarely at 0: compare arms, not absolute values. None where either text is null, or the answer is
    empty; an empty prediction is embedded as it is.
    """

    name: Annotated[str, "begins the name of its column"] = "sbert"
    model: Annotated[str, "SentenceTransformer on the Hub, or a folder"] = "sentence-transformers/all-MiniLM-L6-v2"
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], "16 bits move a score by thousandths"] = "float32"
    prediction_column: Annotated[str, "what the model answered"] = "prediction"
    answer_column: Annotated[str, "what is true"] = "answer"
    longest_text: Annotated[int, "characters read of a text"] = 8192
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        refuse_without("evaluate", "sentence_transformers")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.prediction_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_cosine": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.prediction_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return prediction_and_answer(row, self.prediction_column, self.answer_column, longest=self.longest_text)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from tamis.metrics.sbert_cosine.sbert_cosine import load, sbert_cosine

        pinned = pin(self.model, "model", self.revision).revision
        options = {"revision": pinned, "device": str(models.device()), "dtype": self.dtype}
        encoder = models.hold(("sbert", self.model, *options.values()), lambda: load(self.model, **options))
        cosines = sbert_cosine(batch["prediction"], batch["answer"], encoder, batch_size=2 * len(batch["answer"]))
        return {f"{self.name}_cosine": cosines}
