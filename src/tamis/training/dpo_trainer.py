"""TRL's DPOTrainer on pictures, with what is the same in every step taken out of the steps."""

from __future__ import annotations

from typing import Any

import torch
from trl import DPOTrainer

from tamis.training.shared_prefix import Folded, Unfolding


class PairTrainer(DPOTrainer):
    """Its loss, with reference log-probabilities and seen pictures from outside.

    TRL (1.16) refuses to precompute reference log-probabilities for pictures, as its own pass reads a dataset that is
    tokens already; the loss takes them from the batch all the same once precompute_ref_logps is set. It hands what
    else stands in a batch to the model as it is.
    """

    sight: Any = None  # of pictures that are known by their number; None: batches hold pixels

    def __init__(self, *args: Any, sight: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.precompute_ref_logps = True
        self.sight = sight

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **given: Any) -> torch.Tensor:
        if self.sight is not None:
            model, inputs = self.sight(model, dict(inputs))
        return super().compute_loss(model, inputs, *args, **given)


class Sight:
    """Gives the model what was seen in a batch's pictures; once for both replies where these share their prompt."""

    def __init__(self, eyes: Any, cache: Any, pictures: list[str]) -> None:
        self.eyes = eyes
        self.cache = cache
        self.pictures = pictures

    def __call__(self, model: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        features = self.cache.features([self.pictures[number] for number in inputs.pop("rows").tolist()])
        if "branches" not in inputs:
            inputs["mm_encoder_outputs"] = self.eyes.outputs(features * 2)
            return model, inputs
        folded = Folded(**{name: inputs.pop(name) for name in ("ids", "labels", "positions", "branches")})
        seen = {"mm_encoder_outputs": self.eyes.outputs(features)}
        return Unfolding(model, folded, inputs["completion_mask"], seen), inputs
