"""The last merged model as a decision model: whether it can be one, and how sure it may be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.score_and_explain import decision
from tamis.score_and_explain.calibrating import calibrated, reliability
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


def decided(held: Dataset, tested: Dataset, base_model: str, base: Source, prompt: str, *, adapter: str) -> Decided:
    """held: rows that the model has replied to, to fit temperatures on; tested: others, to tell how sure it then is.
    adapter: its folder in the repo."""
    processor = _processor(base_model, base)
    read = decision.reading(processor.tokenizer)
    apart = read.ten is not None
    temperature = calibrated(*_told(held), apart=apart)
    found = {
        "temperature": temperature,
        "fitted_on": len(held),
        "before": asdict(reliability(*_told(tested), {}, apart=apart)),
        "after": asdict(reliability(*_told(tested), temperature, apart=apart)),
    }
    return Decided(decision.decision_files(processor, prompt, temperature, adapter=adapter), found, read)


def _told(rows: Dataset) -> tuple[np.ndarray, list[int]]:
    """The shares of the ten score lines, and the right scores, of rows that have both."""
    shares, scores = rows[f"{REPLY}_probabilities"][:], rows["score"][:]
    known = [(share, score) for share, score in zip(shares, scores, strict=True) if share is not None]
    return np.asarray([share for share, _ in known]), [score for _, score in known]


def _processor(base_model: str, base: Source) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(base_model, revision=None if base.local else base.revision)
