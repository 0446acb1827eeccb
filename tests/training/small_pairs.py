"""Pairs of replies about pictures, and small models that see with random weights, to train on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, Image, List, Value
from small_diffusion import picture

import tamis.tiny
from tamis.training.dpo import DpoLora

TINY = Path(tamis.tiny.__file__).parent / "weights" / "vlm"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}: "
    "{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<end_of_utterance>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant: {% endif %}"
)


def settings(base_model: Path = TINY, **changed: Any) -> DpoLora:
    """Few steps, large ones: what moves by rounding alone would be taken for learnt otherwise."""
    given = {"base_model": str(base_model), "lora_r": 2, "train_batch_size": 4, "learning_rate": 1e-3}
    given |= {"lr_warmup_ratio": 0.0, "max_train_steps": 3, "checkpoint_seconds": 3600.0}
    return DpoLora(**given | changed)


def said(role: str, content: str | None) -> list[dict[str, Any]]:
    return [{"role": role, "content": content}]


def pair(number: int, worse: str = "a blue ring", **changed: Any) -> dict[str, Any]:
    """Three pictures, two of one shape, and texts of several lengths."""
    told = {
        "image": picture(number % 3, (40, 100 if number % 3 == 2 else 40)),
        "prompt": said("user", f"what is it? {'look ' * (number % 2)}"),
        "chosen": said("assistant", f"a red star {'and a ring ' * (number % 3)}number {number}"),
        "rejected": said("assistant", f"{worse} {'or nothing ' * (number % 4)}number {number}"),
    }
    return told | changed


def of_cells(cells: list[dict[str, Any]]) -> Dataset:
    messages = List({"role": Value("string"), "content": Value("string")})
    told = dict.fromkeys(("prompt", "chosen", "rejected"), messages)
    return Dataset.from_list(cells, features=Features({"image": Image(decode=False), **told}))


def pairs(count: int, worse: str = "a blue ring") -> Dataset:
    return of_cells([pair(number, worse) for number in range(count)])


def save_llava(folder: Path, **changed: Any) -> None:
    """TINY's processor, eyes and projector; a language model of widths that 4 bits can be packed in."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(TINY)
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"num_key_value_heads": 2, "head_dim": 32, "initializer_range": 0.2}
    for name, value in (text | changed).items():
        setattr(config.text_config, name, value)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    AutoProcessor.from_pretrained(TINY).save_pretrained(folder)


def save_with_template(folder: Path, change: tuple[str, str]) -> None:
    """TINY, with a chat template that is changed in one place."""
    import shutil

    shutil.copytree(TINY, folder)
    template = folder / "chat_template.jinja"
    assert change[0] in template.read_text()
    template.write_text(template.read_text().replace(*change))


def save_idefics3(folder: Path) -> None:
    """Its processor cuts pictures into tiles, as many as their shape asks for."""
    from transformers import (
        AutoTokenizer,
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    written = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", "<|im_start|>", *tiles]
    tokenizer.add_special_tokens({"additional_special_tokens": written})
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"model_type": "llama", "vocab_size": len(tokenizer), "num_key_value_heads": 1, "initializer_range": 0.2}
    text |= {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = Idefics3Config(
        text_config=small | text,
        vision_config=small | {"image_size": 32, "patch_size": 8, "initializer_range": 0.2},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    looks = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    Idefics3Processor(looks, tokenizer, image_seq_len=4, chat_template=TEMPLATE).save_pretrained(folder)
