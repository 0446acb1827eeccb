"""What a forward pass of a judge's model is given besides tokens: positions, devices, and a remembered beginning that
goes on in several ways."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tamis.judge.prompts import padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from tamis.judge.loading import Loaded
    from tamis.judge.prompts import Prompt


def forked(loaded: Loaded, begun: Any, rows: Sequence[int], *, last: bool) -> Any:
    """The remembered beginnings of these rows, each as often as it is named; last: `begun` is not needed again.

    reorder_cache forks every kind of layer there is, those of linear attention too, which batch_repeat_interleave
    refuses.
    """
    import torch

    cache = begun if last else copy.deepcopy(begun)
    cache.reorder_cache(torch.tensor(rows, device=loaded.device))
    return cache


def positions_of(loaded: Loaded, prompt: Prompt) -> torch.Tensor:
    """Where each token stands, as the model itself counts: for some, an image's tokens share rows and columns.

    What `generate` asks, of every class and with no leftover of the last request (as `rope_deltas` would be); private,
    and covered by the comparison with the library in tests.
    """
    return loaded.model._prepare_position_ids_for_generation(prompt.ids, prompt.inputs())


def at(loaded: Loaded, positions: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"position_ids": padded(positions).to(loaded.device)} if loaded.takes_positions else {}


def on(loaded: Loaded, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.to(loaded.device) for name, tensor in tensors.items()}
