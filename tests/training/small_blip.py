"""A small BlipForQuestionAnswering with random weights, and questions to train it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, Image, Value
from safetensors.torch import load_file
from small_diffusion import picture

import tamis.tiny
from tamis.training.lora_shapes import LoraShape
from tamis.training.vqa_lora import VqaLora, Wanted
from tamis.training.vqa_model import VqaModel
from tamis.training.vqa_prompts import answer_ids, question_ids

READER = Path(tamis.tiny.__file__).parent / "weights" / "blip-vqa"  # its tokenizer
ASKED = ("what colour is the star?", "what is it?", "how many red stars are there?", "what pattern?", "where is it?")
ANSWERS = ("red", "star", "striped ring", "None", "two")


def save_blip(folder: Path) -> None:
    from transformers import AutoImageProcessor, AutoTokenizer, BlipConfig, BlipForQuestionAnswering, BlipProcessor

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(READER)
    text = {
        "hidden_size": 32,
        "encoder_hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 48,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.mask_token_id,  # as in blip-vqa-base: no token that the tokenizer would write itself
        "sep_token_id": tokenizer.sep_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "initializer_range": 0.2,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 16,
        "patch_size": 8,
        "initializer_range": 0.1,
    }
    BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    looks = AutoImageProcessor.from_pretrained(READER, backend="pil", size={"height": 16, "width": 16})
    BlipProcessor(looks, tokenizer).save_pretrained(folder)


def of_cells(cells: list[dict[str, Any]]) -> Dataset:
    text = Value("string")
    features = {"image": Image(decode=False), "question": text, "answer": text, "image_id": text}
    return Dataset.from_list(cells, features=Features(features))


def row(seed: int, which: int, **changed: Any) -> dict[str, Any]:
    told = {"image": picture(seed), "question": ASKED[which], "answer": ANSWERS[which], "image_id": f"i{seed}"}
    return told | changed


def questions(*pictures: int, each: int = 5) -> Dataset:
    """So many questions about each picture."""
    return of_cells([row(seed, which) for seed in pictures for which in range(each)])


def settings(base_model: Path | str, **changed: Any) -> VqaLora:
    """Few steps, large ones: what moves by rounding alone would be taken for learnt otherwise."""
    given = {"base_model": str(base_model), "learning_rate": 1e-2, "lr_warmup_ratio": 0.0, "train_batch_size": 4}
    return VqaLora(**given | {"max_train_steps": 3, "checkpoint_seconds": 3600.0} | changed)


def wanted(rows: Dataset, shape: str = "r4-query-value-out", seed: int = 0) -> Wanted:
    return Wanted(rows, LoraShape.parse(shape), seed)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def files(folder: Path) -> dict[str, bytes]:
    """But for the record, which holds how long it took."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "training.json"}


def tokens(model: VqaModel, asked: list[str], answers: list[str]) -> tuple[list[list[int]], list[list[int]]]:
    read = question_ids(model.tokenizer, asked, prefix="", longest=32)
    written = answer_ids(model.tokenizer, answers, start=model.start, longest=16)
    return [ids for ids, _ in read], [ids for ids, _ in written]


def pixels(seeds: list[int]) -> torch.Tensor:
    return torch.stack([torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
