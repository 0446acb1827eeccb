"""How alike prediction and reference mean: the cosine of their sentence embeddings (Sentence-BERT)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import datasets
import evaluate

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MODEL = "sentence-transformers/all-MiniLM-L6-v2"

CITATION = """\
@inproceedings{reimers2019sentence,
  title={Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks},
  author={Reimers, Nils and Gurevych, Iryna},
  booktitle={EMNLP},
  year={2019}
}"""

INPUTS = """
predictions: list of texts.
references: list of texts, one a prediction.
model: any SentenceTransformer on the Hub, or a folder (default sentence-transformers/all-MiniLM-L6-v2).
revision: its branch, tag or commit. batch_size (32), device (an accelerator where there is one), dtype (float32).
Returns sbert_cosine (mean, -1..1) and rows: the same name, one value a row.
"""


def load(
    model: str = MODEL, *, revision: str | None = None, device: str | None = None, dtype: str = "float32"
) -> SentenceTransformer:
    """Weights from safetensors only; no code from the repository runs."""
    import torch
    from sentence_transformers import SentenceTransformer

    device = device or str(torch.accelerator.current_accelerator() or "cpu")
    options = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    return SentenceTransformer(model, revision=revision, device=device, model_kwargs=options)


def sbert_cosine(
    predictions: Sequence[str], references: Sequence[str], encoder: SentenceTransformer, *, batch_size: int = 32
) -> list[float]:
    """One cosine a row. Each different text is embedded once; texts of like length share a batch."""
    import numpy as np

    pairs = paired_texts(predictions, references)
    places = {text: place for place, text in enumerate(dict.fromkeys(text for pair in pairs for text in pair))}
    # A model that takes images would open a plain string that looks like an address.
    texts = [{"text": text} for text in places] if encoder.supports("image") else list(places)
    vectors = np.asarray(encoder.encode(texts, batch_size=batch_size, show_progress_bar=False), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    one, other = (vectors[[places[text] for text in side]] for side in zip(*pairs, strict=True))
    return np.clip((one * other).sum(axis=1), -1.0, 1.0).tolist()


def paired_texts(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs; anything but text on either side is refused by its place."""
    for what, texts in (("predictions", predictions), ("references", references)):
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"{what}[{place}]: {text!r} is not a text; leave out rows that have no answer")
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references; as many are needed")
    return list(zip(predictions, references, strict=True))


_kept = functools.lru_cache(maxsize=1)(load)  # between calls of compute()


class SbertCosine(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        model: str = MODEL,
        revision: str | None = None,
        batch_size: int = 32,
        device: str | None = None,
        dtype: str = "float32",
    ) -> dict:
        encoder = _kept(model, revision=revision, device=device, dtype=dtype)
        rows = sbert_cosine(predictions, references, encoder, batch_size=batch_size)
        return {"sbert_cosine": sum(rows) / len(rows), "rows": {"sbert_cosine": rows}}
