"""Conversations about pictures, and about none, and what plain transformers says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, Image, List, Value
from small_diffusion import picture
from small_pairs import TINY

from tamis.run import Run
from tamis.training.chat_lora import as_stored
from tamis.training.conversation_rows import COLUMNS
from tamis.training.trl_training import Order
from tamis.training.vlm_tuning import VlmTuning

SAID = (
    "what is it?",
    "a red star",
    "where is it?",
    "at the top left",
    "how many are there?",
    "one",
    "what else?",
    "none",
)
MOST = 1_000_000


def settings(base_model: Path | str = TINY, **changed: Any) -> VlmTuning:
    given = {"base_model": str(base_model), "lora_r": 2, "lora_dropout": 0.0, "train_batch_size": 4}
    given |= {"learning_rate": 1e-3, "lr_warmup_ratio": 0.0, "max_train_steps": 3, "checkpoint_seconds": 3600.0}
    return VlmTuning(**given | changed)


def turns(*texts: str | None) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def talk(number: int, **changed: Any) -> dict[str, Any]:
    """Every third without a picture; of one to four replies."""
    said = turns(*SAID[: 2 + 2 * (number % 4)])
    said[-1]["content"] += f" number {number}"
    told = {"image": None if number % 3 == 2 else picture(number, (40, 100 if number % 2 else 40))}
    return told | {"conversation": said} | changed


def of_cells(cells: list[dict[str, Any]]) -> Dataset:
    messages = List({"role": Value("string"), "content": Value("string")})
    return Dataset.from_list(cells, features=Features({"image": Image(decode=False), "conversation": messages}))


def talks(count: int) -> Dataset:
    return of_cells([talk(number) for number in range(count)])


def order(rows: Dataset, config: VlmTuning, run: Run) -> Order:
    from tamis.sources import pin

    base = pin(config.base_model, "model")
    return Order("a", as_stored("a", rows, COLUMNS), "k" * 64, run.output_dir / "a", base, config, run, 0)


def by_hand(
    model: Any, processor: Any, rows: list[dict[str, Any]], asked: Callable[[Any, int], str], end: str = "<|end|>"
) -> float:
    """The mean loss over all tokens of replies, each reply by itself. asked: what its n-th reply is asked with."""
    from tamis.images import decode_image

    total, count = 0.0, 0
    for row in rows:
        image = row["image"] and [decode_image(row["image"])]
        for number, said in enumerate(row["conversation"][1::2]):
            inputs = processor(images=image, text=asked(row, number), return_tensors="pt")
            reply = processor.tokenizer(said["content"] + end, return_tensors="pt")["input_ids"]
            labels = torch.cat((torch.full_like(inputs["input_ids"], -100), reply), dim=1)
            inputs["input_ids"] = torch.cat((inputs["input_ids"], reply), dim=1)
            inputs["attention_mask"] = torch.ones_like(labels)
            with torch.no_grad():
                total += float(model(**inputs, labels=labels).loss) * reply.shape[1]
            count += reply.shape[1]
    return total / count


def plainly(row: dict[str, Any], number: int) -> str:
    """What TINY is asked for the n-th reply with, written out."""
    image = "<image>\n" if row["image"] else ""
    texts = [
        f"<|user|>{one['content']}" if one["role"] == "user" else f"<|assistant|>{one['content']}<|end|>"
        for one in row["conversation"][: 2 * number + 1]
    ]
    return "".join(texts).replace("<|user|>", f"<|user|>{image}", 1) + "<|assistant|>"


def parted(base: dict[str, torch.Tensor], one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    """How far apart two tuned models are, as a share of how far they went from their base."""
    assert base.keys() == one.keys() == two.keys()
    went = torch.stack([(one[name] - base[name]).norm() for name in base]).norm()
    return float(torch.stack([(one[name] - two[name]).norm() for name in base]).norm() / went)
