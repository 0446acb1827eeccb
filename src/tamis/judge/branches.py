"""Replies begun in several ways to one prompt: the prompt is read once, and each reply goes on from there.

Beginnings of one prompt may be of different lengths ("10" is two tokens to many models). Nothing is padded inside of a
row, which not every kind of layer could be told to pass over: all go on from where the shortest ends, and the longer
ones are held to the rest of their beginning as they are written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from tamis.judge.loading import Loaded


@dataclass(frozen=True)
class Branches:
    """Rows of tokens that begin alike."""

    common: int  # tokens that all of them begin with
    tails: tuple[tuple[int, ...], ...]  # what is behind, one a row; at least a token, which is yet to be read

    @classmethod
    def of(cls, rows: list[list[int]]) -> Branches:
        common = min(map(len, rows)) - 1
        for row in rows[1:]:
            common = next((at for at in range(common) if row[at] != rows[0][at]), common)
        return cls(common, tuple(tuple(row[common:]) for row in rows))


def branched(
    loaded: Loaded, beginnings: dict[str, torch.Tensor], branches: list[Branches], options: dict[str, Any]
) -> list[torch.Tensor]:
    """The tokens written for each branch, group by group.

    beginnings: a row for each of `branches`, its common tokens, padded on the left, with its images.
    options: those of `generate`.
    """
    import torch

    device, model = loaded.device, loaded.model
    beginnings = {name: value.to(device) for name, value in beginnings.items()}
    ids, mask = beginnings["input_ids"], beginnings["attention_mask"]
    at = _positions(loaded, ids, beginnings)
    placed = {} if at is None else {"position_ids": at}
    cache = model(**beginnings, **placed, use_cache=True, logits_to_keep=1).past_key_values

    tails = [tail for one in branches for tail in one.tails]
    shortest, longest = min(map(len, tails)), max(map(len, tails))
    which = torch.tensor([row for row, one in enumerate(branches) for _ in one.tails], device=device)
    # reorder_cache forks every kind of layer there is, as in tamis.judge.deciding.
    cache.reorder_cache(which)
    begun = torch.tensor([tail[:shortest] for tail in tails], device=device)
    if at is not None:
        behind = at[..., -1:] + torch.arange(1, shortest + 1, device=device)  # text alone: one step a token
        placed = {"position_ids": torch.cat((at, behind), dim=-1).index_select(-2, which)}
    read = torch.cat((ids[which], begun), dim=1)
    written = model.generate(
        input_ids=read,
        attention_mask=torch.cat((mask[which], torch.ones_like(begun)), dim=1),
        **placed,
        past_key_values=cache,
        logits_processor=[_held_to([tail[shortest:] for tail in tails], read.shape[1])],
        **options | {"max_new_tokens": options["max_new_tokens"] + longest - shortest},
    )
    new = written[:, read.shape[1] :]
    ends = [len(tail) - shortest for tail in tails]
    return [row[end : end + options["max_new_tokens"]] for row, end in zip(new, ends, strict=True)]


def _positions(loaded: Loaded, ids: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """As deciding has them; None where the model counts for itself."""
    return loaded.model._prepare_position_ids_for_generation(ids, inputs) if loaded.takes_positions else None


def _held_to(rests: list[tuple[int, ...]], start: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Leaves a row nothing to choose while there is more of its beginning."""

    def hold(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = ids.shape[1] - start
        for row, rest in enumerate(rests):
            if step < len(rest):
                scores[row] = -float("inf")
                scores[row, rest[step]] = 0.0
        return scores

    return hold
