"""Bytes are those that are there, before and after the model has run."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes.nn import Linear8bitLt
from torch import nn

from tamis.vqa.eight_bit import footprint


class Small(nn.Module):
    """Two quantised layers, an embedding whose weight is the output layer's, a buffer of whole numbers."""

    def __init__(self, layer: type[nn.Linear], **settings: object) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 32)
        self.inner = nn.Sequential(layer(32, 64, **settings), nn.LayerNorm(64), layer(64, 32, bias=False, **settings))
        self.out = nn.Linear(32, 50, bias=False)
        self.out.weight = self.words.weight
        self.register_buffer("places", torch.arange(7))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.inner(self.words(ids)))


WEIGHTS, SCALES, PLACES = 2 * 32 * 64, 4 * (64 + 32), 7 * 8
OTHERS = 50 * 32 + 64 + 2 * 64  # numbers: the embedding, once; a bias; a layer norm


@pytest.mark.parametrize("has_run", [False, True])
def test_what_is_quantised_is_counted_as_it_is(has_run: bool) -> None:
    model = Small(Linear8bitLt, has_fp16_weights=False, threshold=6.0).to("cpu")
    if has_run:
        with torch.inference_mode():
            model(torch.tensor([[1, 2]]))
    assert footprint(model) == {
        "linear": WEIGHTS + SCALES,
        "linear_float16": 2 * WEIGHTS,
        "total": WEIGHTS + SCALES + 4 * OTHERS + PLACES,
        "total_float16": 2 * (WEIGHTS + OTHERS) + PLACES,
        "total_float32": 4 * (WEIGHTS + OTHERS) + PLACES,
        "kept": ["out"],
    }


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_of_a_model_that_is_not_quantised_the_sizes_agree(dtype: str) -> None:
    size = footprint(Small(nn.Linear).to(getattr(torch, dtype)))
    assert size["total"] == size[f"total_{dtype}"] and size["linear"] == size["linear_float16"] == 0
    assert size["kept"] == ["inner.0", "inner.2", "out"]
