"""Adapters of random matrices for tiny/vlm, as files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

import tamis.tiny
from tamis.sources import Source
from tamis.training import peft_files

TINY = str(Path(tamis.tiny.__file__).parent / "weights" / "vlm")
IDS = torch.arange(5, 25)[None]


def write(whole: Any, base: Source, folder: Path, seed: int, layers: list[str], *, r: int = 4, **more: Any) -> Path:
    """Both matrices are random."""
    from peft import LoraConfig, get_peft_model

    more = {"lora_alpha": 2 * r, "dtype": torch.float32} | more
    dtype, where = more.pop("dtype"), more.pop("where", "language_model")
    paths = rf".*{where}.*\.({'|'.join(layers)})"
    worn = get_peft_model(copy.deepcopy(whole), LoraConfig(r=r, target_modules=paths, **more))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in worn.named_parameters():
        if "lora_" in name:
            weight.data = (0.3 * torch.randn(weight.shape, generator=generator)).to(dtype)
    folder.mkdir(parents=True)
    peft_files.save(worn, folder, base)
    return folder
