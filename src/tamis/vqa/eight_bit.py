"""How many bytes a model quantised by bitsandbytes takes, and how many it would take otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SIZES = {"float16": 2, "float32": 4}


def footprint(model: torch.nn.Module) -> dict[str, Any]:
    """Bytes of the weights: `linear`, of the quantised linear layers with their scales, and `linear_float16`; `total`,
    of all parameters and buffers, and what the same model takes in float16 and float32. `kept` names the linear layers
    that are not quantised: transformers leaves the output layer, which shares the embeddings' weight.

    What is shared counts once. Buffers that are no floats (positions) are what they are in any dtype.
    """
    import torch
    from bitsandbytes.nn import Linear8bitLt

    layers = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    quantised = {name: layer for name, layer in layers.items() if isinstance(layer, Linear8bitLt)}
    eight = {id(layer.weight): layer for layer in quantised.values()}
    linear = sum(layer.weight.nbytes + _scale(layer).nbytes for layer in eight.values())
    numbers = sum(layer.weight.numel() for layer in eight.values())
    others = {id(one): one for one in (*model.parameters(), *model.buffers()) if id(one) not in eight}
    floats = [one for one in others.values() if one.is_floating_point()]
    whole = sum(one.nbytes for one in others.values() if not one.is_floating_point())
    told = {
        "linear": linear,
        "linear_float16": 2 * numbers,
        "total": linear + whole + sum(one.nbytes for one in floats),
    }
    for dtype, size in SIZES.items():
        told[f"total_{dtype}"] = whole + size * (numbers + sum(one.numel() for one in floats))
    return told | {"kept": sorted(layers.keys() - quantised.keys())}


def _scale(layer: Any) -> torch.Tensor:
    """Of each row; the first forward pass moves it from the weight to the layer's state."""
    return layer.state.SCB if layer.weight.SCB is None else layer.weight.SCB
