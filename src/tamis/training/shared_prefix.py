"""Several replies to one prompt in one row, the prompt read once: to a causal model each reply looks as if alone.

A row is the prompt without its last token, then for each reply that token again and the reply. A reply sees the prompt
and itself; positions go on from the prompt's in each. With a picture in it the prompt is most of a pair's tokens.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

NOT_ASKED = -100  # a label that no log-probability is wanted of
PROMPT, PADDING = 0, -1  # of branches; replies count from 1


@dataclass(frozen=True)
class Asked:
    """A prompt, and replies to it, in tokens."""

    prompt: list[int]
    replies: list[list[int]]


@dataclass(frozen=True)
class Folded:
    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    branches: torch.Tensor

    @classmethod
    def of(cls, rows: list[Asked], pad: int) -> Folded:
        told: list[list[list[int]]] = [[], [], [], []]
        for row in rows:
            before = len(row.prompt) - 1
            ids, labels = row.prompt[:-1], [NOT_ASKED] * before
            positions, branches = list(range(before)), [PROMPT] * before
            for branch, reply in enumerate(row.replies, start=1):
                ids = ids + row.prompt[-1:] + reply
                labels += [NOT_ASKED, *reply]
                positions += range(before, before + 1 + len(reply))
                branches += [branch] * (1 + len(reply))
            for part, some in zip(told, (ids, labels, positions, branches), strict=True):
                part.append(some)
        return cls(*map(_padded, told, (pad, NOT_ASKED, 0, PADDING)))

    def to(self, device: torch.device) -> Folded:
        return Folded(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))

    def forward(self, model: Any, *, shares: bool = True, **seen: Any) -> Any:
        """The model's outputs as TRL's fused head gives them: [:, i] is of token i + 1. shares: rows hold several
        replies; those of one each are what any model reads."""
        if shares:
            seen |= {"attention_mask": self._mask(), "position_ids": self.positions}
        else:
            seen |= {"attention_mask": (self.branches != PADDING).long()}
        return model(input_ids=self.ids, labels=self.labels, use_cache=False, fused_lm_head=True, **seen)

    def _mask(self) -> torch.Tensor:
        keys, queries = self.branches[:, None, :], self.branches[:, :, None]
        length = self.ids.shape[1]
        before = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        return (((keys == queries) | (keys == PROMPT)) & before)[:, None]

    def log_probabilities(self, outputs: Any, most: int) -> torch.Tensor:
        """(rows, most replies), of whole replies; zero where a row has fewer."""
        sums = outputs.log_probs.new_zeros(len(self.ids), most + 1)
        return sums.scatter_add(1, self.branches[:, 1:].clamp(min=PROMPT), outputs.log_probs)[:, 1:]


@dataclass(frozen=True)
class Unfolding:
    """Stands where TRL's loss has its model: rows of pairs in, each reply by itself out."""

    model: Any
    folded: Folded
    completion_mask: torch.Tensor  # chosen replies, then rejected ones, as TRL has them
    seen: dict[str, Any]

    def __call__(self, **of_pairs: Any) -> Any:
        outputs = self.folded.forward(self.model, **self.seen)
        pairs = len(self.folded.ids)
        asked = self.completion_mask[:, 1:].bool()
        # In both forms a reply's tokens stand in a row and in order: the n-th of one is the n-th of the other.
        replies = self.folded.labels[:, 1:] != NOT_ASKED
        found = [replies & (self.folded.branches[:, 1:] == branch) for branch in (1, 2)]
        laid_out = {}
        for field in dataclasses.fields(outputs):
            value = getattr(outputs, field.name)
            if isinstance(value, torch.Tensor) and value.shape[:1] == (pairs,):
                both = torch.cat([value[mask] for mask in found])
                laid_out[field.name] = value.new_zeros(asked.shape).masked_scatter(asked, both)
        return type(outputs)(**laid_out)


def why_not(config: Any) -> str | None:
    """Models whose layers do not all attend by the mask that they are given; None: they do."""
    kinds = getattr(config, "layer_types", None)
    of_one_kind = set(kinds) == {"full_attention"} if kinds else getattr(config, "sliding_window", None) is None
    if not of_one_kind:
        return "its layers do not all attend to everything"
    if not getattr(config, "is_causal", True):
        return "its attention is not causal"
    if config._attn_implementation != "sdpa":
        return f"its attention is by {config._attn_implementation}"
    if hasattr(config, "output_router_logits"):
        return "it routes tokens to experts"
    return None


def _padded(rows: list[list[int]], padding: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
