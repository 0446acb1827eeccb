"""What a model lets be taken out of its steps, found by asking it: one pair as TRL reads it, and as it is read here.

Where the log-probabilities differ by more than rounding, a training goes TRL's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tamis.training.dpo_rows import padding, stock, tokens
from tamis.training.eyes import Eyes, NoDoor, StandIn, mixed
from tamis.training.shared_prefix import Asked, Folded, why_not

if TYPE_CHECKING:
    from tamis.training.dpo_rows import Pairs
    from tamis.training.pictures import Pictures

ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # mean over tokens of a log-probability's difference


@dataclass(frozen=True)
class Way:
    """Reasons why not; None: it is done."""

    not_seen_once: str | None = None  # pictures are in every step's forward pass
    not_shared: str | None = None  # prompts are read once for each reply

    @property
    def seen_once(self) -> bool:
        return self.not_seen_once is None

    @property
    def shares(self) -> bool:
        return self.not_shared is None


def way_of(model: Any, processor: Any, pictures: Pictures, pairs: Pairs, number: int, max_pixels: int) -> Way:
    """number: of the pair that it is asked with."""
    try:
        eyes = Eyes(model, processor, pictures, max_pixels)
        features, read, expected = _read(model, eyes, pairs, number)
    except NoDoor as reason:
        return Way(str(reason), str(reason))
    labels = Folded.of([Asked(read["prompt_ids"], [read[side]]) for side in SIDES], padding(processor))
    if not _alike(_log_probabilities(model, eyes, labels, features * 2, shares=False), expected):
        told = f"a {type(model).__name__} answers otherwise when it is told what it sees"
        return Way(told, told)
    if (reason := why_not(model.config.get_text_config())) is not None:
        return Way(not_shared=reason)
    both = Folded.of([Asked(read["prompt_ids"], [read[side] for side in SIDES])], padding(processor))
    if not _alike(_log_probabilities(model, eyes, both, features, shares=True), expected):
        return Way(not_shared=f"a {type(model).__name__} answers otherwise when replies stand in one row")
    return Way()


SIDES = ("chosen_ids", "rejected_ids")


def _read(
    model: Any, eyes: Eyes, pairs: Pairs, number: int
) -> tuple[list[torch.Tensor], dict[str, list[int]], torch.Tensor]:
    """What is seen in a pair's picture, its tokens, and its log-probabilities as TRL has them."""
    (seen,) = eyes.seen([pairs.pictures[number]])
    read = tokens(eyes.processor, pairs.texts(number), StandIn(seen.told))
    batch = dict(stock(eyes.processor)([pairs.shown(number, eyes.max_pixels)]))
    asked = batch.pop("completion_mask").bool()
    for side, ids, mask in zip(SIDES, batch["input_ids"], batch["attention_mask"].bool(), strict=True):
        if ids[mask].tolist() != read["prompt_ids"] + read[side]:
            raise NoDoor(f"{type(eyes.processor).__name__} writes other tokens than those it tells of")
    batch["labels"] = batch["input_ids"].masked_fill(~asked, -100)
    batch = {name: value.to(model.device) for name, value in batch.items()}
    with torch.no_grad(), mixed(model.device, model.dtype):
        found = model(**batch, use_cache=False, fused_lm_head=True).log_probs
    return [seen.features], read, found[asked[:, 1:].to(found.device)]


def _log_probabilities(
    model: Any, eyes: Eyes, folded: Folded, features: list[torch.Tensor], *, shares: bool
) -> torch.Tensor:
    folded = folded.to(model.device)
    with torch.no_grad(), mixed(model.device, model.dtype):
        outputs = folded.forward(model, shares=shares, mm_encoder_outputs=eyes.outputs(features))
    return outputs.log_probs[folded.labels[:, 1:] != -100]


def _alike(found: torch.Tensor, expected: torch.Tensor) -> bool:
    within = ROUNDING.get(expected.dtype, ROUNDING[torch.bfloat16])
    return bool((found.float() - expected.float()).abs().mean() < within)
