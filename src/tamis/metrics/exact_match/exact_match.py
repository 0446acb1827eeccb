"""Exact match: 1 where prediction and reference are the same text, lower-cased and stripped; else 0."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

CITATION = """\
@inproceedings{rajpurkar2016squad,
  title={SQuAD: 100,000+ Questions for Machine Comprehension of Text},
  author={Rajpurkar, Pranav and Zhang, Jian and Lopyrev, Konstantin and Liang, Percy},
  booktitle={EMNLP},
  year={2016}
}"""

INPUTS = """
predictions: list of texts.
references: list of texts, one a prediction.
Returns exact_match (mean, 0..1) and rows: the same name, one value a row.
"""


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """1.0 or 0.0 a row. Case and surrounding space do not count; articles, plurals and punctuation do."""
    pairs = paired_texts(predictions, references)
    return [float(prediction.strip().lower() == reference.strip().lower()) for prediction, reference in pairs]


def paired_texts(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs; anything but text on either side is refused by its place."""
    for what, texts in (("predictions", predictions), ("references", references)):
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"{what}[{place}]: {text!r} is not a text; leave out rows that have no answer")
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references; as many are needed")
    return list(zip(predictions, references, strict=True))


class ExactMatch(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict:
        rows = exact_match(predictions, references)
        return {"exact_match": sum(rows) / len(rows), "rows": {"exact_match": rows}}
