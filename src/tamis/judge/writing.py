"""Texts written by a chat model, many at a time: prompts of like length together, padded on the left."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tamis.images import fitted
from tamis.judge.asking import Ask
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
    alike: dict[tuple[Any, ...], list[tuple[int, dict[str, torch.Tensor]]]] = defaultdict(list)
    for number, ask in enumerate(asks):
        inputs = _inputs(loaded, ask, max_pixels)
        key = tuple((name, value.shape[1:]) for name, value in inputs.items() if not _is_row(value, inputs))
        alike[key].append((number, inputs))
    texts = [""] * len(asks)
    with torch.inference_mode(), _drawing(loaded, seed):
        for group in alike.values():
            for part in parts(group, lambda one: _length(one[1]) + max_new_tokens, most=batch_size, tokens=tokens):
                batch = _batch([inputs for _, inputs in part], options["pad_token_id"])
                written = loaded.model.generate(**{k: v.to(loaded.device) for k, v in batch.items()}, **options)
                new = loaded.tokenizer.batch_decode(written[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
                for (number, _), text in zip(part, new, strict=True):
                    texts[number] = text
    return texts


def _inputs(loaded: Loaded, ask: Ask, max_pixels: int) -> dict[str, torch.Tensor]:
    """One ask as the model's chat template renders it; control tokens in its text are text."""
    import torch

    if ask.images and not loaded.reads_images:
        raise ValueError(f"judge: {loaded.model.name_or_path!r} reads text alone, and was shown an image")
    content: Any = ask.text
    if loaded.reads_images:
        content = [{"type": "image", "image": fitted(image, max_pixels)} for image in ask.images]
        content.append({"type": "text", "text": ask.text})
    # Answers are to be short: no thinking first, where a template knows of it (processors refuse unknown settings).
    template = loaded.processor.chat_template or loaded.tokenizer.chat_template
    thinking = {"enable_thinking": False} if "enable_thinking" in str(template) else {}
    inputs = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        sanitize_control_tokens=True,
        **thinking,
    )
    inputs = {"attention_mask": torch.ones_like(inputs["input_ids"]), **inputs}
    if ask.begun:
        begun = loaded.tokenizer.encode(ask.begun, add_special_tokens=False, split_special_tokens=True)
        tail = {"input_ids": torch.tensor([begun]), "attention_mask": torch.ones(1, len(begun), dtype=torch.long)}
        for name, value in inputs.items():
            if _is_row(value, inputs) and name != "input_ids":
                tail.setdefault(name, torch.zeros(1, len(begun), dtype=value.dtype))  # of no kind but text
        inputs |= {name: torch.cat((inputs[name], more), dim=1) for name, more in tail.items()}
    return inputs


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
