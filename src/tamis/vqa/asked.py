"""A question on a picture, as every model here is given it; what comes back, as a column holds it."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.images import decode_image, image_bytes
from tamis.sources import pin
from tamis.texts import text
from tamis.vqa.image_processor import image_processor

if TYPE_CHECKING:
    import torch
    from PIL import Image

LONGEST = 2000  # characters of a question; no model here reads as many
_SLOT = re.compile(r"\{(\w*)\}")
_MARKUP = re.compile(r"<[^<>]*>")
_AT_ENDS = "\"'`*_#~.,;:!?()[]{}“”‘’«»…"
Picture = tuple[str, Any]  # what tells it from others, and what a model takes of it


def where(repo: str, revision: str) -> dict[str, str]:
    """The revision, as from_pretrained is told it: a folder has none."""
    return {} if Path(repo).is_dir() else {"revision": revision}


def question_of(row: dict[str, Any], column: str) -> str:
    return text(row[column], longest=LONGEST, what="question").strip()


def picture_of(row: dict[str, Any], column: str, pixels: Callable[[Image.Image], Any]) -> Picture:
    image = decode_image(row[column])
    return hashlib.sha256(image_bytes(row[column])).hexdigest(), pixels(image)


def pixels_for(model: str, revision: str | None) -> Callable[[Image.Image], torch.Tensor]:
    """What the model's own image processor makes of one picture."""
    processor = _processor(model, pin(model, "model", revision).revision)
    return lambda image: processor(image, return_tensors="pt")["pixel_values"][0]


_processor = models.once(image_processor)


class Seen:
    """Encodings of pictures by the last batch: its questions share them, and the next batch often goes on with them."""

    def __init__(self) -> None:
        self._read: dict[str, torch.Tensor] = {}

    def of(
        self, pictures: Sequence[Picture], read: Callable[[list[Any]], torch.Tensor]
    ) -> tuple[torch.Tensor, list[int]]:
        """The encodings of the different pictures, and which of them each question is on. read: encodes new ones."""
        import torch

        shown = dict(pictures)
        before, self._read = self._read, {}
        new = [name for name in shown if name not in before]
        if new:
            before = before | dict(zip(new, read([shown[name] for name in new]), strict=True))
        self._read = {name: before[name] for name in shown}
        at = {name: row for row, name in enumerate(shown)}
        return torch.stack(list(self._read.values())), [at[name] for name, _ in pictures]


def refuse_slots(setting: str, template: str, *, needed: Sequence[str], optional: Sequence[str] = ()) -> None:
    """A template without its question would ask every row the same."""
    slots = _SLOT.findall(template)
    wrong = [slot for slot in slots if slot not in (*needed, *optional)]
    if wrong or any(slots.count(name) != 1 for name in needed):
        once = " and ".join(f"{{{name}}} once" for name in needed)
        others = "".join(f", {{{name}}} if wanted" for name in optional)
        raise ValueError(
            f"{setting}: {template!r} is not accepted; expected a text with {once}{others}, no other braces"
        )


def filled(template: str, **values: str) -> str:
    """The template with its values in one pass: braces in a row's text are text."""
    return _SLOT.sub(lambda slot: values[slot[1]], template)


def cut(tokenizer: Any, questions: Sequence[str], tokens: int) -> list[str]:
    """The questions, longer ones as far as the model reads them; that there are such is told."""
    read = tokenizer(list(questions), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ends = [offsets[tokens][0] if len(offsets) > tokens else None for offsets in read["offset_mapping"]]
    tell_cut(any(end is not None for end in ends), tokens)
    return [question if end is None else question[:end].rstrip() for question, end in zip(questions, ends, strict=True)]


def tell_cut(some: bool, tokens: int) -> None:
    if some:
        warnings.warn(f"questions longer than {tokens} tokens are read that far only", stacklevel=3)


def first_word(reply: str) -> str:
    """The first word of a reply, without markup, quotes and punctuation at its ends; its case is left as it is.

    "" where there is none. What stands inside a word stays: t-shirt, 3.5, C++.
    """
    words = (word.strip(_AT_ENDS) for word in _MARKUP.sub(" ", reply).split())
    return next((word for word in words if any(letter.isalnum() for letter in word)), "")


def first_line(reply: str) -> str:
    """The first line that says something, spaces put right, no final stop."""
    lines = (" ".join(line.split()) for line in reply.splitlines())
    return next(filter(None, lines), "").removesuffix(".").rstrip()
