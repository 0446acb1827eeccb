"""An adapter that a base wears in training, frozen: a new one is learnt beside it, on what both together say.

Nothing is folded into weights. A change of 1e-5 beside weights of 0.02 would keep a third of itself in bfloat16 and
nothing in 4 bits; worn, it says in training what it says wherever it is loaded onto the base.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from tamis import models
from tamis.config import ConfigError
from tamis.training.merge_layers import DOWN, PREFIX, UP, read
from tamis.training.peft_files import WEIGHTS

if TYPE_CHECKING:
    from tamis.sources import Source


@dataclass(frozen=True)
class Change:
    """What it adds to a layer's output: as PEFT computes it, which keeps the matrices as they are stored."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def __call__(self, layer: torch.nn.Linear, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        change = functional.linear(functional.linear(inputs[0].to(self.down.dtype), self.down), self.up)
        return (output + self.scale * change).to(output.dtype)


def wear(model: Any, folder: Path, base: Source, layers: list[str]) -> None:
    """Puts the adapter of `base` onto it for good; layers: the paths that adapters may change.

    By hooks, which stay with a layer where PEFT puts its own around it: neither paths nor weights of the model change,
    and nothing of it is learnt, saved or loaded with the new adapter.
    """
    from safetensors import safe_open

    [part] = read({folder.name: folder}, base)
    allowed = set(layers)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        for path, (outputs, inputs, _) in part.shapes.items():
            if path not in allowed:
                # The rest of the model is taken to see what it sees without any adapter.
                raise ConfigError(f"worn: {part.name!r} changes {path!r}; expected linear layers of the language model")
            layer = model.get_submodule(path)
            if (layer.out_features, layer.in_features) != (outputs, inputs):
                raise ConfigError(
                    f"worn: {part.name!r}: layer {path!r} has {(outputs, inputs)} outputs and inputs, the model's has "
                    f"{(layer.out_features, layer.in_features)}"
                )
            down, up = (file.get_tensor(f"{PREFIX}{path}{side}").float().to(models.device()) for side in (DOWN, UP))
            layer.register_forward_hook(Change(down, up, part.scales[path]))
