"""How near is the answer to the right one in WordNet?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis.needs import refuse_without, refuse_without_wordnet
from tamis.texts import prediction_and_answer

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Wups:
    """Columns NAME_0.9, NAME_0.0, NAME_weighted, NAME_report_0.9 (float32, 0..1; higher is better).

    NAME_0.9 and NAME_0.0 are the published WUPS: 1 is the same word, else Wu-Palmer similarity of the nearest noun
    meanings, a tenth of it where it is below the threshold; so NAME_0.9 <= NAME_0.0. Commas separate the items of a
    set. NAME_weighted: strict_share of NAME_0.9, the rest of NAME_0.0. NAME_report_0.9 is another measure, of the
    Amazon Berkeley Objects report: any part of speech, 1 from the threshold on, below it undiminished; it is never
    compared with the others. Words that WordNet lacks are 0 unless equal. Needs WordNet 3.0, NLTK's or Debian's.
    None where either text is null, or the answer is empty; an empty prediction is a wrong answer.
    """

    name: Annotated[str, "begins the names of its columns"] = "wups"
    strict_share: Annotated[float, "weight of NAME_0.9 in NAME_weighted"] = 0.9
    prediction_column: Annotated[str, "what the model answered"] = "prediction"
    answer_column: Annotated[str, "what is true"] = "answer"
    longest_text: Annotated[int, "characters read of a text"] = 1024
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    def __post_init__(self) -> None:
        if not 0 <= self.strict_share <= 1:
            raise ValueError(f"strict_share: {self.strict_share} is not accepted; expected 0 to 1")
        refuse_without("evaluate")
        refuse_without_wordnet()

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.prediction_column, self.answer_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_{kind}": Value("float32") for kind in ("0.9", "0.0", "weighted", "report_0.9")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ()

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return prediction_and_answer(row, self.prediction_column, self.answer_column, longest=self.longest_text)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from tamis.metrics.wups.wups import wups

        rows = wups(batch["prediction"], batch["answer"], strict_share=self.strict_share)
        return {column.replace("wups", self.name, 1): values for column, values in rows.items()}
