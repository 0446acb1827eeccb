"""BLIP's decoder looks at the question alone, not at what it was padded with.

transformers 5.23 computes the mask for it and loses it: BlipTextAttention hands it on as `attention_mask`, and
BlipTextSelfAttention, where it is a cross-attention, reads `encoder_attention_mask`. What is answered then depends on
how long the other questions of the batch are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def mind_masks(blip: nn.Module) -> None:
    """Makes every cross-attention of the model use the mask that it is given; more than once is once."""
    from transformers.models.blip.modeling_blip_text import BlipTextAttention

    for path, attention in blip.named_modules():
        crosses = isinstance(attention, BlipTextAttention) and path.rpartition(".")[2] == "crossattention"
        if crosses and _handed_on not in attention.self._forward_pre_hooks.values():
            attention.self.register_forward_pre_hook(_handed_on, with_kwargs=True)


def _handed_on(
    attention: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return given, named | {"encoder_attention_mask": named["attention_mask"]}
