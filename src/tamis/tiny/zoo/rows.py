"""Exercises packed into rows of tokens: several to a row, each blind to the others, weights on what is to be learnt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tamis.tiny.zoo.exercises import Exercise

if TYPE_CHECKING:
    import torch

LABEL, REPLY, PROMPT = 4.0, 1.0, 0.1  # a label is one token and the whole answer; prompts teach the language besides
NOWHERE = -1  # of padding: a document of its own, that nothing else sees


@dataclass
class Row:
    """Tokens, their positions, the document each belongs to (0: shared by all in the row), and the loss's weights."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)  # of predicting this token from those before it

    def add(self, prompt: list[int], reply: list[int], *, typed: bool, start: int) -> None:
        tokens = prompt + reply
        document = max(self.documents, default=0) + 1
        self.tokens += tokens
        self.positions += range(start, start + len(tokens))
        self.documents += [document] * len(tokens)
        self.weights += [0.0] + [PROMPT] * (len(prompt) - 1) + [LABEL if typed else REPLY] * len(reply)


class Packer:
    """Exercises to tokens, as the chat and decision templates render them (a test compares)."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.user, self.assistant, self.end = tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>", "<|end|>"])

    def encode(self, exercise: Exercise) -> tuple[list[int], list[int]]:
        """The user's words and what is answered; a typed answer is its label alone."""
        prompt, reply = self.tokenizer([exercise.prompt, exercise.reply], add_special_tokens=False)["input_ids"]
        return prompt, reply if exercise.typed else [*reply, self.end]

    def pack(self, exercises: Iterable[Exercise], rows: int, length: int) -> list[Row]:
        """Fills so many rows; an exercise that does not fit any more is left out."""
        made = [Row() for _ in range(rows)]
        misses = 0
        for exercise in exercises:
            prompt, reply = self.encode(exercise)
            prompt = [self.user, *prompt, self.assistant]
            row = min(made, key=lambda row: len(row.tokens))
            if len(row.tokens) + len(prompt) + len(reply) <= length:
                row.add(prompt, reply, typed=exercise.typed, start=0)
            else:
                misses += 1
                if misses > 4:
                    break
        return made


def tensors(rows: list[Row], length: int, pad: int) -> dict[str, torch.Tensor]:
    import torch

    filled = {
        "input_ids": [row.tokens + [pad] * (length - len(row.tokens)) for row in rows],
        "position_ids": [row.positions + [0] * (length - len(row.tokens)) for row in rows],
        "documents": [row.documents + [NOWHERE] * (length - len(row.tokens)) for row in rows],
    }
    batch = {name: torch.tensor(values) for name, values in filled.items()}
    weights = [row.weights + [0.0] * (length - len(row.tokens)) for row in rows]
    return batch | {"weights": torch.tensor(weights)}


def visibility(documents: torch.Tensor) -> torch.Tensor:
    """Attention that sees what came before in the same document or in the shared one: row x 1 x length x length."""
    import torch

    length = documents.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    here, there = documents[:, :, None], documents[:, None, :]
    return (((here == there) | (there == 0)) & earlier)[:, None]


def weighted_loss(logits: torch.Tensor, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
    """Of the next token, and how often labels and other replies are right. `logits` are for all but the last token."""
    import torch
    from torch.nn.functional import cross_entropy

    weights, wanted = batch["weights"][:, 1:].flatten(), batch["input_ids"][:, 1:].flatten()
    counted = weights > 0
    logits, weights, wanted = logits.flatten(0, 1)[counted], weights[counted], wanted[counted]
    losses = cross_entropy(logits, wanted, reduction="none")
    with torch.no_grad():
        right = (logits.argmax(-1) == wanted).float()
        figures = {"labels": right[weights == LABEL].mean().item(), "replies": right[weights == REPLY].mean().item()}
    return (losses * weights).sum() / weights.sum(), figures
