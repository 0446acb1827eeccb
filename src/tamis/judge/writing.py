"""Texts written by a chat model, many at a time: prompts of like length together, padded on the left.

Replies that are begun in several ways to one text and the same images share one reading of what they have in common.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tamis.images import fitted
from tamis.judge.asking import Ask, asked_plainly
from tamis.judge.branches import Branches, branched
from tamis.judge.prompts import parts, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from tamis.judge.loading import Loaded


def write(
    loaded: Loaded,
    asks: list[Ask],
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    batch_size: int,
    tokens: int,
    max_pixels: int,
) -> list[str]:
    """For each ask, the text that follows what it begins with.

    The seed is one call's: the same asks in the same batches are written the same again.
    """
    import torch
    from transformers.decision.modeling_utils import DecisionMixin

    if isinstance(loaded.model, DecisionMixin):
        raise ValueError(f"judge: {loaded.model.name_or_path!r} is a decision model: it decides, and writes nothing")
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "do_sample": temperature > 0}
    # None: a model's own settings for sampling would only be warned about where nothing is sampled.
    options |= {"temperature": temperature} if temperature > 0 else dict.fromkeys(("temperature", "top_p", "top_k"))
    options["eos_token_id"] = loaded.model.generation_config.eos_token_id or loaded.tokenizer.eos_token_id
    pad = loaded.tokenizer.pad_token_id
    options["pad_token_id"] = pad if pad is not None else loaded.tokenizer.eos_token_id
    alike: dict[tuple[Any, ...], list[tuple[list[int], list[dict[str, torch.Tensor]]]]] = defaultdict(list)
    for numbers in _together(loaded, asks):
        first = _prompt(loaded, asks[numbers[0]], max_pixels)
        rows = [_begun(loaded, first, asks[number].begun) for number in numbers]
        key = tuple((name, value.shape[1:]) for name, value in first.items() if not _is_row(value, first))
        alike[len(numbers), *key].append((numbers, rows))
    texts = [""] * len(asks)
    with torch.inference_mode(), _drawing(loaded, seed):
        for (count, *_), group in alike.items():
            sizes = {"most": max(1, batch_size // count), "tokens": tokens // count}
            for part in parts(group, lambda one: max(map(_length, one[1])) + max_new_tokens, **sizes):
                new = _written(loaded, [rows for _, rows in part], options)
                for number, text in zip((number for numbers, _ in part for number in numbers), new, strict=True):
                    texts[number] = text
    return texts


def _together(loaded: Loaded, asks: list[Ask]) -> list[list[int]]:
    """Numbers of asks, those that share their images and their text in one list, where the model may share at all."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, ask in enumerate(asks):
        shares = bool(ask.images) and loaded.whole is None
        groups[(*map(id, ask.images), ask.text) if shares else number].append(number)
    return list(groups.values())


def _written(loaded: Loaded, groups: list[list[dict[str, torch.Tensor]]], options: dict[str, Any]) -> list[str]:
    """What the model writes after each row, group by group; rows of one group begin alike."""
    if len(groups[0]) == 1:
        batch = _batch([rows[0] for rows in groups], options["pad_token_id"])
        written = loaded.model.generate(**{k: v.to(loaded.device) for k, v in batch.items()}, **options)
        new = written[:, _length(batch) :]
    else:
        branches = [Branches.of([row["input_ids"][0].tolist() for row in rows]) for rows in groups]
        beginnings = [_cut(rows[0], one.common) for rows, one in zip(groups, branches, strict=True)]
        new = branched(loaded, _batch(beginnings, options["pad_token_id"]), branches, options)
    return loaded.tokenizer.batch_decode(new, skip_special_tokens=True)


def inputs_of(loaded: Loaded, ask: Ask, max_pixels: int) -> dict[str, torch.Tensor]:
    """The prompt of an ask, and how its reply begins."""
    return _begun(loaded, _prompt(loaded, ask, max_pixels), ask.begun)


def _prompt(loaded: Loaded, ask: Ask, max_pixels: int) -> dict[str, torch.Tensor]:
    """One ask as the model's chat template renders it; control tokens in its text are text."""
    import torch

    if ask.images and not loaded.reads_images:
        raise ValueError(f"judge: {loaded.model.name_or_path!r} reads text alone, and was shown an image")
    content: Any = ask.text
    if loaded.reads_images:
        content = [{"type": "image", "image": fitted(image, max_pixels)} for image in ask.images]
        content.append({"type": "text", "text": ask.text})
    template = loaded.processor.chat_template or loaded.tokenizer.chat_template
    inputs = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        sanitize_control_tokens=True,
        **asked_plainly(template),
    )
    return {"attention_mask": torch.ones_like(inputs["input_ids"]), **inputs}


def _begun(loaded: Loaded, inputs: dict[str, torch.Tensor], begun: str) -> dict[str, torch.Tensor]:
    """The prompt, and how the reply begins."""
    if not begun:
        return inputs
    return gone_on(inputs, loaded.tokenizer.encode(begun, add_special_tokens=False, split_special_tokens=True))


def gone_on(inputs: dict[str, torch.Tensor], ids: list[int]) -> dict[str, torch.Tensor]:
    """The inputs with these tokens behind them, of no kind but text."""
    import torch

    tail = {"input_ids": torch.tensor([ids], dtype=torch.long)}
    tail["attention_mask"] = torch.ones(1, len(ids), dtype=torch.long)
    for name, value in inputs.items():
        if _is_row(value, inputs):
            tail.setdefault(name, torch.zeros(1, len(ids), dtype=value.dtype))
    return inputs | {name: torch.cat((inputs[name], more), dim=1) for name, more in tail.items()}


def _cut(inputs: dict[str, torch.Tensor], length: int) -> dict[str, torch.Tensor]:
    return {name: value[:, :length] if _is_row(value, inputs) else value for name, value in inputs.items()}


def _is_row(value: torch.Tensor, inputs: dict[str, torch.Tensor]) -> bool:
    return value.shape == inputs["input_ids"].shape


def _length(inputs: dict[str, torch.Tensor]) -> int:
    return inputs["input_ids"].shape[1]


def _batch(rows: list[dict[str, torch.Tensor]], pad: int) -> dict[str, torch.Tensor]:
    import torch

    longest = max(map(_length, rows))
    filled = []
    for inputs in rows:
        row = {}
        for name, value in inputs.items():
            with_what = pad if name == "input_ids" else 0
            short = longest - _length(inputs) if _is_row(value, inputs) else 0
            row[name] = torch.nn.functional.pad(value, (short, 0), value=with_what) if short else value
        filled.append(row)
    return together(filled, torch.cat)


@contextmanager
def _drawing(loaded: Loaded, seed: int) -> Iterator[None]:
    """Draws from this seed, and leaves everyone else's generator as it was."""
    import torch

    devices = [loaded.device] if loaded.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
