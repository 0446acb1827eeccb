"""A model's own image processor, the same in training and in evaluation."""

from __future__ import annotations

from typing import Any


def image_processor(repo: str, revision: str) -> Any:
    """By PIL, be torchvision installed or not: its scaling rounds otherwise, and what was trained would be asked of
    other pixels."""
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(repo, revision=revision, backend="pil")
