"""The last merged model as a decision model: whether it can be one, and how sure it may be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.score_and_explain import decision
from tamis.score_and_explain.calibrating import calibrated
from tamis.score_and_explain.settings import REPLY

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.sources import Source


@dataclass(frozen=True)
class Decided:
    files: dict[str, str]  # at the root of the adapters' repo
    told: dict[str, Any]  # for results.json
    reading: decision.Reading

    def three_lines(self, model_id: str, base: str) -> str:
        return decision.three_lines(model_id, self.reading, base=base)


def refuse_unfit(base_model: str, base: Source, prompt: str) -> None:
    """Before anything is trained: does the library come to the prompt that the model is trained on?"""
    decision.decision_files(_processor(base_model, base), prompt, {}, adapter=None)


def decided(held: Dataset, base_model: str, base: Source, prompt: str, *, adapter: str) -> Decided:
    """held: held-out rows that the model has replied to; adapter: its folder in the repo."""
    processor = _processor(base_model, base)
    read = decision.reading(processor.tokenizer)
    known = [row for row, shares in enumerate(held[f"{REPLY}_probabilities"][:]) if shares is not None]
    shares = np.asarray(held.select(known)[f"{REPLY}_probabilities"][:])
    found = calibrated(shares, held.select(known)["score"][:], apart=read.ten is not None)
    files = decision.decision_files(processor, prompt, found.temperature, adapter=adapter)
    return Decided(files, asdict(found), read)


def _processor(base_model: str, base: Source) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(base_model, revision=None if base.local else base.revision)
