"""BARTScore: how likely a sequence-to-sequence model finds one text given the other: mean log-probability of a token.

forward: log p(reference | prediction); backward: log p(prediction | reference); and the mean of both.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import datasets
import evaluate

if TYPE_CHECKING:
    import torch

MODEL = "facebook/bart-large-cnn"
LONGEST = 1024  # tokens read of a text, the authors' own

CITATION = """\
@inproceedings{yuan2021bartscore,
  title={BARTScore: Evaluating Generated Text as Text Generation},
  author={Yuan, Weizhe and Neubig, Graham and Liu, Pengfei},
  booktitle={NeurIPS},
  year={2021}
}"""

INPUTS = """
predictions: list of texts.
references: list of texts, one a prediction.
model: any sequence-to-sequence model on the Hub, or a folder (default facebook/bart-large-cnn).
revision: its branch, tag or commit. batch_size (16), device (an accelerator where there is one), dtype (float32).
exponential: exp() of each value: the geometric mean of the tokens' probabilities, 0..1 (default false).
Returns bartscore_forward, bartscore_backward, bartscore_mean (means, 0 or less) and rows: the same, one value a row.
"""


@dataclass(frozen=True)
class Generator:
    tokenizer: Any
    model: torch.nn.Module
    longest: int


def load(
    model: str = MODEL, *, revision: str | None = None, device: str | None = None, dtype: str = "float32"
) -> Generator:
    """Weights from safetensors only; no code from the repository runs."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(
        model, revision=revision, dtype=getattr(torch, dtype), use_safetensors=True
    )
    loaded.to(device or torch.accelerator.current_accelerator() or "cpu").eval()
    return Generator(tokenizer, loaded, min(LONGEST, tokenizer.model_max_length))


def bart_score(
    predictions: Sequence[str],
    references: Sequence[str],
    generator: Generator,
    *,
    batch_size: int = 16,
    exponential: bool = False,
) -> dict[str, list[float]]:
    """Both directions and their mean, one value a row."""
    paired_texts(predictions, references)
    forward = log_probabilities(predictions, references, generator, batch_size=batch_size)
    backward = log_probabilities(references, predictions, generator, batch_size=batch_size)
    both = [(one + other) / 2 for one, other in zip(forward, backward, strict=True)]
    rows = {"bartscore_forward": forward, "bartscore_backward": backward, "bartscore_mean": both}
    if exponential:
        rows = {name: [math.exp(value) for value in values] for name, values in rows.items()}
    return rows


def log_probabilities(
    sources: Sequence[str], targets: Sequence[str], generator: Generator, *, batch_size: int = 16
) -> list[float]:
    """Mean log p(token | source, tokens before) over the target's tokens, those that begin and end it among them."""
    import torch

    pairs = list(dict.fromkeys(zip(sources, targets, strict=True)))  # answers repeat: each pair is read once
    read, written = (
        generator.tokenizer(list(side), truncation=True, max_length=generator.longest)["input_ids"]
        for side in zip(*pairs, strict=True)
    )
    order = sorted(range(len(pairs)), key=lambda place: -len(read[place]) - len(written[place]))
    scores: dict[tuple[str, str], float] = {}
    device = generator.model.device
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            inputs, mask = _padded([read[place] for place in batch], 0, device)
            labels, _ = _padded([written[place] for place in batch], -100, device)
            logits = generator.model(input_ids=inputs, attention_mask=mask, labels=labels).logits.float()
            losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
            means = -losses.sum(dim=1) / (labels != -100).sum(dim=1)
            scores |= {pairs[place]: value for place, value in zip(batch, means.tolist(), strict=True)}
    return [scores[pair] for pair in zip(sources, targets, strict=True)]


def _padded(tokens: list[list[int]], filler: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of one length, and where they are no filler. Which filler inputs get does not matter: it is masked."""
    import torch

    longest = max(map(len, tokens))
    rows = [row + [filler] * (longest - len(row)) for row in tokens]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in tokens]
    return torch.tensor(rows, device=device), torch.tensor(mask, device=device)


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


class BartScore(evaluate.Metric):
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
        batch_size: int = 16,
        device: str | None = None,
        dtype: str = "float32",
        exponential: bool = False,
    ) -> dict:
        generator = _kept(model, revision=revision, device=device, dtype=dtype)
        rows = bart_score(predictions, references, generator, batch_size=batch_size, exponential=exponential)
        return {name: sum(values) / len(values) for name, values in rows.items()} | {"rows": rows}
