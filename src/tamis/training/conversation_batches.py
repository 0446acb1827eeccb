"""Batches of whole conversations: every reply is learnt, and nothing else.

TRL's collator (1.16) learns all of a conversation, or what a template marks, which few templates of models that see
do. Here a reply is what turns.py says: its words and what the template writes behind them, after exactly the tokens
that a judge would ask with at that place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from tamis.images import fitted
from tamis.training import turns
from tamis.training.conversation_rows import CONVERSATION, picture

IGNORED = -100
BLANK = (64, 64)

if TYPE_CHECKING:
    from tamis.training.turns import Messages


@dataclass
class Written:
    """Tokens in one go: what is asked first, then replies and what is asked between them."""

    asked: str
    image: Image.Image | None
    first: list[int]  # of `asked`, a picture as its placeholder
    more: list[tuple[list[int], bool]] = field(default_factory=list)  # and whether they are learnt

    @property
    def tail(self) -> list[int]:
        return [token for tokens, _ in self.more for token in tokens]

    @property
    def learnt(self) -> list[bool]:
        return [learnt for tokens, learnt in self.more for _ in tokens]


class Conversations:
    """The data collator: rows as they are stored to what the model takes."""

    def __init__(self, processor: Any, max_pixels: int) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.max_pixels = max_pixels
        pad = self.tokenizer.pad_token_id
        self.pad = self.tokenizer.eos_token_id if pad is None else pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        written = [one for row in rows for one in self.written(row)]
        if all(one.image is None for one in written):
            # Ranks whose weights are shared out gather those of the eyes together; and a projector that is learnt has
            # a gradient, of zero, in every step, however rows are shared out. Nothing of this row is learnt.
            written.append(self._blank())
        inputs = self._shown(written)
        tokens = inputs.pop("tokens")
        learnt = [[False] * len(own) + one.learnt for one, own in zip(written, tokens["input_ids"], strict=True)]
        for name, values in tokens.items():
            behind = [one.tail if name == "input_ids" else [0] * len(one.tail) for one in written]
            whole = [own + more for own, more in zip(values, behind, strict=True)]
            inputs[name] = _padded(whole, self.pad if name == "input_ids" else 0)
        inputs["attention_mask"] = _padded([[1] * len(one) for one in learnt], 0)
        inputs["labels"] = inputs["input_ids"].masked_fill(_padded(learnt, 0) == 0, IGNORED)
        return inputs

    def length(self, row: dict[str, Any]) -> int:
        """Tokens of the longest sequence that the row makes, those of the picture among them."""
        written = self.written(row)
        first = self._shown(written)["tokens"]["input_ids"]
        return max(len(own) + len(one.tail) for own, one in zip(first, written, strict=True))

    def written(self, row: dict[str, Any]) -> list[Written]:
        """One; more where the template writes back what was said in other tokens than it was said in: then a reply
        that follows it begins a sequence of its own."""
        image = picture(row["image"])
        image = None if image is None else fitted(image, self.max_pixels)
        said: Messages = row[CONVERSATION]
        found: list[Written] = []
        known: list[int] = []
        for end in range(1, len(said), 2):
            asked = turns.prompt(self.processor, said[:end], image)
            tokens = self._tokens(asked)
            if known and tokens[: len(known)] == known:
                found[-1].more.append((tokens[len(known) :], False))
            else:
                found.append(Written(asked, image, tokens))
            reply = self._tokens(turns.reply(self.processor, said[:end], [said[end]], image))
            found[-1].more.append((reply, True))
            known = tokens + reply
        return found

    def _shown(self, written: list[Written]) -> dict[str, Any]:
        """What the processor makes of pictures and of what is asked first; `tokens`: what it tells of each token."""
        seeing = [one for one in written if one.image is not None]
        if not seeing:
            return {"tokens": {"input_ids": [one.first for one in written]}}
        inputs = self.processor(
            images=[[one.image] for one in seeing],
            text=[one.asked for one in seeing],
            padding=True,
            return_tensors="pt",
            add_special_tokens=False,  # the template has written them
        )
        shape, mask = inputs["input_ids"].shape, inputs.pop("attention_mask").bool()
        of_tokens = {name: inputs.pop(name) for name in list(inputs) if inputs[name].shape == shape}
        tokens: dict[str, list[list[int]]] = {}
        for name, values in of_tokens.items():
            own = iter([row[there].tolist() for row, there in zip(values, mask, strict=True)])
            plain = {"input_ids": lambda one: one.first}.get(name, lambda one: [0] * len(one.first))
            tokens[name] = [plain(one) if one.image is None else next(own) for one in written]
        return {**inputs, "tokens": tokens}

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _blank(self) -> Written:
        image = Image.new("RGB", BLANK)
        asked = turns.prompt(self.processor, [{"role": "user", "content": "a"}], image)
        return Written(asked, image, self._tokens(asked))


def _padded(rows: list[list[int]] | list[list[bool]], value: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*map(int, row), *[value] * (longest - len(row))] for row in rows])
