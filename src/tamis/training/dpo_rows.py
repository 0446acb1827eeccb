"""Pairs of replies about pictures, as training sees them: which picture, which tokens; and in batches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from tamis.images import Unscorable, decode_image, fitted
from tamis.training import turns
from tamis.training.dpo import TEXTS
from tamis.training.eyes import StandIn
from tamis.training.pictures import digest_of
from tamis.training.shared_prefix import Asked, Folded
from tamis.training.trl_training import refuse

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.training.pictures import Pictures


@dataclass
class Pairs:
    """What an adapter learns from: rows with a picture, and with three texts that write no control tokens."""

    rows: Dataset
    kept: list[int] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)  # of each that is kept, a hash of its file
    left_out: Counter[str] = field(default_factory=Counter)  # by reason
    reference: list[tuple[float, float]] = field(default_factory=list)  # of each, chosen and rejected

    def __post_init__(self) -> None:
        self._texts = self.rows.select_columns(list(TEXTS))

    def __len__(self) -> int:
        return len(self.kept)

    def texts(self, number: int) -> dict[str, list[dict[str, str]]]:
        return self._texts[self.kept[number]]

    def shown(self, number: int, max_pixels: int) -> dict[str, Any]:
        image = decode_image(self.rows[self.kept[number]]["image"])
        return self.texts(number) | {"image": fitted(image, max_pixels)}

    def told(self, number: int, side: str) -> tuple[str, str]:
        """Picture and prompt, and the reply: by content."""
        texts = self.texts(number)
        return json.dumps([self.pictures[number], texts["prompt"]]), json.dumps(texts[side])

    def without(self, unreadable: dict[str, str]) -> Pairs:
        good = [number for number, picture in enumerate(self.pictures) if picture not in unreadable]
        bad = Counter(unreadable[picture] for picture in self.pictures if picture in unreadable)
        kept, pictures = ([of[number] for number in good] for of in (self.kept, self.pictures))
        return Pairs(self.rows, kept, pictures, self.left_out + bad)


def read(rows: Dataset, pictures: Pictures, control: set[str]) -> Pairs:
    pairs = Pairs(rows)
    for position, row in enumerate(rows):
        try:
            refuse(row, TEXTS, control)
            digest = digest_of(row["image"])
        except Unscorable as reason:
            pairs.left_out[str(reason)] += 1
            continue
        pictures.where.setdefault(digest, (rows, position))
        pairs.kept.append(position)
        pairs.pictures.append(digest)
    return pairs


def rendered(processor: Any, texts: dict[str, Any], image: Any) -> dict[str, str]:
    asked = texts["prompt"]
    replies = {side: turns.reply(processor, asked, texts[side], image) for side in ("chosen", "rejected")}
    return {"prompt": turns.prompt(processor, asked, image)} | replies


def tokens(processor: Any, texts: dict[str, Any], image: Any) -> dict[str, list[int]]:
    """Of prompt and replies, image tokens among them: what TRL's DataCollatorForVisionPreference makes of them."""
    written = rendered(processor, texts, image)
    prompt = processor(images=[[image]], text=[written["prompt"]], add_special_tokens=False)["input_ids"][0]
    replies = processor(text=[written["chosen"], written["rejected"]], add_special_tokens=False)["input_ids"]
    return {"prompt_ids": list(prompt), "chosen_ids": list(replies[0]), "rejected_ids": list(replies[1])}


@dataclass
class Batches:
    """Makes batches of the numbers of pairs, in TRL's form: whose pictures are known, without looking at them."""

    pairs: Pairs
    processor: Any
    written: Callable[[str], str] | None  # in the place of a picture; None: TRL's own collator has to look at it
    shares: bool
    max_pixels: int

    def __call__(self, examples: list[dict[str, int]]) -> dict[str, torch.Tensor]:
        numbers = [example["image"] for example in examples]
        if self.written is None:
            batch = dict(stock(self.processor)([self.pairs.shown(number, self.max_pixels) for number in numbers]))
        else:
            batch = self._known(numbers)
        if self.pairs.reference:
            chosen, rejected = zip(*(self.pairs.reference[number] for number in numbers), strict=True)
            batch |= {"ref_chosen_logps": torch.tensor(chosen), "ref_rejected_logps": torch.tensor(rejected)}
        return batch

    def _known(self, numbers: list[int]) -> dict[str, torch.Tensor]:
        from trl.trainer.dpo_trainer import DataCollatorForPreference

        pad = padding(self.processor)
        rows = [self.tokens(number) for number in numbers]
        batch = DataCollatorForPreference(pad)(rows) | {"rows": torch.tensor(numbers)}
        if self.shares:
            asked = [Asked(row["prompt_ids"], [row["chosen_ids"], row["rejected_ids"]]) for row in rows]
            batch |= vars(Folded.of(asked, pad))
        return batch

    def tokens(self, number: int) -> dict[str, list[int]]:
        image = StandIn(self.written(self.pairs.pictures[number]))
        return tokens(self.processor, self.pairs.texts(number), image)


def stock(processor: Any) -> Callable[[list[dict[str, Any]]], Any]:
    """TRL's collator, of texts: it would have the template write the beginning of a reply."""
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    collator = DataCollatorForVisionPreference(processor)
    return lambda examples: collator([one | rendered(processor, one, one["image"]) for one in examples])


def padding(processor: Any) -> int:
    return processor.tokenizer.pad_token_id or processor.tokenizer.eos_token_id  # as TRL's collator has it
