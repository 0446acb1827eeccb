"""Chat models that see, tuned on the same questions: how they are named, trained, and asked with and without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError, from_values
from tamis.product_vqa.arm_forms import TUNED
from tamis.sources import pin
from tamis.training.vlm_lora import VlmLora, train_vlm_loras

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source
    from tamis.training.adapter import Adapter

OWN = ("name",)  # of a chat model's settings; the others are VlmLora's


def parsed(chat_models: list[dict[str, Any]]) -> dict[str, VlmLora]:
    """Settings of the training by the models' names; what is wrong is refused by name."""
    found = {}
    for one in chat_models:
        settings = {key: value for key, value in one.items() if key not in OWN}
        if "base_model" not in settings:
            raise ConfigError(f"chat_models: {one['name']}: base_model is missing")
        found[one["name"]] = from_values(VlmLora, settings, f"chat_models: {one['name']}")
    return found


def train(chat_models: list[dict[str, Any]], rows: Dataset, run: Run, *, wording: str) -> dict[str, Adapter]:
    """Adapters by the arm that wears them: NAME.tuned."""
    from tamis.training.conversations import answers

    found: dict[str, Adapter] = {}
    for name, settings in parsed(chat_models).items():
        told = answers(rows, question_column="question", answer_column="answer", wording=wording)
        found |= train_vlm_loras({f"{name}.{TUNED}": told}, settings, run)
    return found


def base_of(adapter: Adapter) -> Source:
    return pin(adapter.base_model, "model", adapter.base_revision)


def answering(chat_models: list[dict[str, Any]], adapters: dict[str, Adapter], *, wording: str) -> list[dict[str, Any]]:
    """Scorers: each model as it is, and with its LoRA where there is one."""
    scorers = []
    for name, settings in parsed(chat_models).items():
        judge = {"model": settings.base_model, "revision": settings.base_revision, "max_pixels": settings.max_pixels}
        scorers.append({"scorer": "chat_vqa", "name": name, "judge": judge, "wording": wording})
        if f"{name}.{TUNED}" in adapters:
            worn = judge | {"adapter": str(Path(adapters[f"{name}.{TUNED}"].path))}
            scorers.append({"scorer": "chat_vqa", "name": f"{name}.{TUNED}", "judge": worn, "wording": wording})
    return scorers
