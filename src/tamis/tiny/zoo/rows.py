"""Exercises packed into rows of tokens: several to a row, each blind to the others, each token with its part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tamis.tiny.zoo.exercises import Exercise

if TYPE_CHECKING:
    import torch

# The part a token has, and what the mean loss over all tokens of that part counts. Means by part, since a label is one
# token and the whole answer: among hundreds of tokens of texts it would hardly be heard, and letters never be learnt.
UNLEARNT, PROMPT, REPLY, LABEL = range(4)
COUNTS = {PROMPT: 0.1, REPLY: 1.0, LABEL: 1.0}
NOWHERE = -1  # of padding: a document of its own, that nothing else sees


@dataclass
class Row:
    """Tokens, their positions, the document each belongs to (0: shared by all in the row), and the part each has."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def add(self, prompt: list[int], reply: list[int], *, typed: bool, start: int) -> None:
        tokens = prompt + reply
        document = max(self.documents, default=0) + 1
        self.tokens += tokens
        self.positions += range(start, start + len(tokens))
        self.documents += [document] * len(tokens)
        self.parts += [UNLEARNT] + [PROMPT] * (len(prompt) - 1) + [LABEL if typed else REPLY] * len(reply)


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
        "parts": [row.parts + [UNLEARNT] * (length - len(row.tokens)) for row in rows],
    }
    return {name: torch.tensor(values) for name, values in filled.items()}


def visibility(documents: torch.Tensor) -> torch.Tensor:
    """Attention that sees what came before in the same document or in the shared one: row x 1 x length x length."""
    import torch

    length = documents.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    here, there = documents[:, :, None], documents[:, None, :]
    return (((here == there) | (there == 0)) & earlier)[:, None]


def weighted_loss(logits: torch.Tensor, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
    """Of the next token, and how often labels and other replies are right. `logits` are for all but the last token."""
    from torch.nn.functional import cross_entropy

    parts, wanted = batch["parts"][:, 1:].flatten(), batch["input_ids"][:, 1:].flatten()
    logits = logits.flatten(0, 1)
    total, figures = 0.0, {}
    for part, counts in COUNTS.items():
        own = parts == part
        if own.any():
            total = total + counts * cross_entropy(logits[own], wanted[own])
            right = (logits[own].detach().argmax(-1) == wanted[own]).float().mean().item()
            figures |= {{LABEL: "labels", REPLY: "replies"}[part]: right} if part != PROMPT else {}
    return total, figures
