"""BERTScore: tokens of prediction and reference matched by the cosine of their contextual embeddings.

precision: of the prediction's tokens, each with its likest in the reference; recall: the other way; f1: their harmonic
mean. Rescaled: 0 is what unrelated texts get, 1 the same text.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import evaluate

if TYPE_CHECKING:
    import torch

MODEL = "FacebookAI/roberta-large"
# Of bert-score 0.3.13: the layer that agrees best with people, and what unrelated English texts get there (P, R, F1).
KNOWN = {
    "roberta-large": (17, (0.83150584, 0.8314941, 0.83122575)),
}

UNSTATED = 10**6  # a tokenizer that knows no longest text says 10^30
BATCHES_AT_ONCE = 16  # whose embeddings are kept, so that a text of two pairs is mostly read once

CITATION = """\
@inproceedings{zhang2020bertscore,
  title={BERTScore: Evaluating Text Generation with BERT},
  author={Zhang, Tianyi and Kishore, Varsha and Wu, Felix and Weinberger, Kilian Q. and Artzi, Yoav},
  booktitle={ICLR},
  year={2020}
}"""

INPUTS = """
predictions: list of texts.
references: list of texts, one a prediction.
model: any encoder on the Hub, or a folder (default FacebookAI/roberta-large).
layer: whose embeddings are compared; needed for models that bert-score's authors did not tune.
baseline: three numbers (precision, recall, f1 of unrelated texts), or a file of bert-score (LAYER,P,R,F), to rescale.
revision: its branch, tag or commit. batch_size (64), device (an accelerator where there is one), dtype (float32).
Returns bertscore_precision, bertscore_recall, bertscore_f1, each also with _rescaled where there is a baseline (means),
and rows: the same names, one value a row.
"""


@dataclass(frozen=True)
class Encoder:
    tokenizer: Any
    model: torch.nn.Module
    longest: int


def layer_of(model: str, layer: int | None) -> int:
    if layer is None and _short(model) not in KNOWN:
        raise ValueError(f"layer: {model!r} has none that is known to agree with people; name one, 1 is the first")
    return KNOWN[_short(model)][0] if layer is None else layer


def baseline_of(
    model: str, layer: int | None, baseline: Sequence[float] | str | None
) -> tuple[float, float, float] | None:
    """Precision, recall and F1 of unrelated texts: as given, of a file, or as known of the model; else None."""
    if baseline is None:
        known_layer, known = KNOWN.get(_short(model), (None, None))
        return known if known_layer == layer_of(model, layer) else None
    if isinstance(baseline, str):
        wanted = layer_of(model, layer)
        lines = [line.split(",") for line in Path(baseline).read_text().split()[1:]]
        rows = [line[1:] for line in lines if int(line[0]) == wanted]
        if not rows:
            raise ValueError(f"baseline: {baseline} has no layer {wanted}")
        baseline = [float(number) for number in rows[0]]
    if len(baseline) != 3 or not all(number < 1 for number in baseline):
        raise ValueError(f"baseline: {list(baseline)} is not accepted; expected precision, recall, f1, each below 1")
    return tuple(baseline)


def load(
    model: str = MODEL,
    *,
    layer: int | None = None,
    revision: str | None = None,
    device: str | None = None,
    dtype: str = "float32",
) -> Encoder:
    """The model up to that layer: those above are neither loaded nor run. Safetensors only, no code of the repo's."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer, logging

    layer = layer_of(model, layer)
    config = AutoConfig.from_pretrained(model, revision=revision)
    if not 1 <= layer <= config.num_hidden_layers:
        raise ValueError(f"layer: {layer} is not accepted; {model!r} has 1 to {config.num_hidden_layers}")
    config.num_hidden_layers = layer
    shown = logging.get_verbosity()
    logging.set_verbosity_error()  # it would list every weight of the layers left out
    try:
        loaded, told = AutoModel.from_pretrained(
            model,
            config=config,
            revision=revision,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
        )
    finally:
        logging.set_verbosity(shown)
    missing = sorted(name for name in told["missing_keys"] if "pooler" not in name)  # the pooler is not used
    if missing:
        raise ValueError(f"{model!r} lacks weights of its first {layer} layers: {', '.join(missing[:3])}")
    loaded = loaded.get_encoder() if config.is_encoder_decoder else loaded
    loaded.to(device or torch.accelerator.current_accelerator() or "cpu").eval()
    tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
    longest = tokenizer.model_max_length
    if longest > UNSTATED:
        longest = config.max_position_embeddings - 2  # RoBERTa's first two positions are no tokens'
    return Encoder(tokenizer, loaded, longest)


def bert_score(
    predictions: Sequence[str],
    references: Sequence[str],
    encoder: Encoder,
    *,
    baseline: tuple[float, float, float] | None = None,
    batch_size: int = 64,
) -> dict[str, list[float]]:
    """Raw, and with a baseline also rescaled, one value a row. A text without a token scores 0, raw."""
    pairs = paired_texts(predictions, references)
    order = sorted(dict.fromkeys(pairs), key=lambda pair: -max(map(len, pair)))  # answers repeat; like beside like
    matched: dict[tuple[str, str], tuple[float, float, float]] = {}
    block = BATCHES_AT_ONCE * batch_size
    for first in range(0, len(order), block):
        together = order[first : first + block]
        embedded = _embedded([text for pair in together for text in pair], encoder, batch_size)
        for start in range(0, len(together), batch_size):
            batch = together[start : start + batch_size]
            scores = _matched(*([embedded[pair[side]] for pair in batch] for side in (0, 1)))
            matched |= dict(zip(batch, scores, strict=True))
    names = [f"bertscore_{name}" for name in ("precision", "recall", "f1")]
    rows = {name: [matched[pair][place] for pair in pairs] for place, name in enumerate(names)}
    for name, unrelated in zip(names, baseline or (), strict=False):
        rows[f"{name}_rescaled"] = [(value - unrelated) / (1 - unrelated) for value in rows[name]]
    return rows


Embedded = tuple["torch.Tensor", "torch.Tensor"]  # vectors of length 1, and whether each is of the text's own token


def _embedded(texts: list[str], encoder: Encoder, batch_size: int) -> dict[str, Embedded]:
    """Each different text once, those of like length together."""
    import torch
    from transformers import GPT2Tokenizer, RobertaTokenizer

    unique = list(dict.fromkeys(texts))
    device = encoder.model.device
    # A word at the beginning is the same token as elsewhere, as in bert-score: of RoBERTa's kind that takes a space.
    before = " " if isinstance(encoder.tokenizer, GPT2Tokenizer | RobertaTokenizer) else ""
    stripped = [before * bool(text.strip()) + text.strip() for text in unique]
    tokens = encoder.tokenizer(stripped, truncation=True, max_length=encoder.longest)["input_ids"]
    added = {encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id}
    order = sorted(range(len(unique)), key=lambda place: -len(tokens[place]))
    found: dict[str, Embedded] = {}
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            longest = len(tokens[batch[0]])
            filler = encoder.tokenizer.pad_token_id
            rows = [tokens[place] + [filler] * (longest - len(tokens[place])) for place in batch]
            mask = [[1] * len(tokens[place]) + [0] * (longest - len(tokens[place])) for place in batch]
            states = encoder.model(
                input_ids=torch.tensor(rows, device=device), attention_mask=torch.tensor(mask, device=device)
            ).last_hidden_state.float()
            states = torch.nn.functional.normalize(states, dim=-1)
            for place, vectors in zip(batch, states, strict=True):
                own = torch.tensor([token not in added for token in tokens[place]], device=device)
                found[unique[place]] = vectors[: len(own)].clone(), own
    return found


def _matched(predicted: list[Embedded], true: list[Embedded]) -> list[tuple[float, float, float]]:
    """Greedy matching. Tokens that begin and end a text may be matched with, but are not counted: as bert-score."""
    import torch

    pad = functools.partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    with torch.inference_mode():
        (a, own_a), (b, own_b) = (
            (pad([v for v, _ in side]), pad([own for _, own in side])) for side in (predicted, true)
        )
        there_a, there_b = (pad([torch.ones_like(own) for _, own in side]) for side in (predicted, true))
        cosines = torch.bmm(a, b.transpose(1, 2))
        # Padding is no match, also where all others are below 0.
        cosines = cosines.masked_fill(~(there_a[:, :, None] & there_b[:, None, :]), -1.0)
        precision = (cosines.amax(dim=2) * own_a).sum(dim=1) / own_a.sum(dim=1)
        recall = (cosines.amax(dim=1) * own_b).sum(dim=1) / own_b.sum(dim=1)
        empty = ~(own_a.any(dim=1) & own_b.any(dim=1))
        precision, recall = (side.masked_fill(empty, 0.0) for side in (precision, recall))
        f1 = (2 * precision * recall / (precision + recall)).nan_to_num(0.0, 0.0, 0.0)
    return list(zip(precision.tolist(), recall.tolist(), f1.tolist(), strict=True))


def _short(model: str) -> str:
    """roberta-large and FacebookAI/roberta-large are one model."""
    return model.removeprefix("FacebookAI/")


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


class BertScore(evaluate.Metric):
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
        layer: int | None = None,
        baseline: Sequence[float] | str | None = None,
        revision: str | None = None,
        batch_size: int = 64,
        device: str | None = None,
        dtype: str = "float32",
    ) -> dict:
        unrelated = baseline_of(model, layer, baseline)
        encoder = _kept(model, layer=layer, revision=revision, device=device, dtype=dtype)
        rows = bert_score(predictions, references, encoder, baseline=unrelated, batch_size=batch_size)
        return {name: sum(values) / len(values) for name, values in rows.items()} | {"rows": rows}
