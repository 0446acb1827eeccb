"""train_vlms(): chat models that see, tuned on whole conversations: as LoRAs, or the language model with all weights.

Learnt is every reply of a conversation. A row may come without a picture. All ranks train one model together, one
after the other: train_batch_size is of all ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError
from tamis.training import chat_lora, vlm_lora
from tamis.training.conversation_rows import COLUMNS
from tamis.training.vlm_lora import VlmLora

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.training.adapter import Adapter

OF_LORAS = ("lora_r", "lora_alpha", "lora_dropout")


@dataclass(kw_only=True)
class VlmTuning(VlmLora):
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    bounds = (*VlmLora.bounds, ("max_length", 1))

    tuning: Annotated[
        Literal["lora", "language_model"],
        "lora: adapters of the language model's linear layers; language_model: all weights but the vision tower's",
    ] = "lora"
    max_length: Annotated[int | None, "tokens, the picture's too; longer conversations are left out"] = None
    group_by_length: Annotated[bool, "rows of like length share a step: less padding, another order"] = False

    def in_key(self) -> dict[str, Any]:
        deciding = self.deciding(VlmTuning)
        return deciding if self.tuning == "lora" else {k: v for k, v in deciding.items() if k not in OF_LORAS}


def train_vlms(
    subsets: dict[str, Dataset],
    config: VlmTuning,
    run: Run,
    *,
    seed: int | None = None,
    worn: Path | None = None,
) -> dict[str, Adapter]:
    """Adapters by the names of the subsets, in run.output_dir/adapters/NAME, on every rank; as PEFT saves them, or,
    where the language model was tuned, the whole model and its processor: from_pretrained(path) loads it.

    A row: `image`, null where there is none; `conversation`, a list of messages {role, content}, user and assistant in
    turns, content a text. The picture stands before the first message. Rows that cannot be learnt from are left out,
    told and counted. seed decides every draw; None: the run's. worn: the folder of an adapter of the base that it
    wears, frozen, under the LoRAs that are learnt.
    """
    from tamis.training.conversation_training import train, trainer

    if worn is not None and config.tuning != "lora":
        raise ConfigError(
            f"worn: an adapter stays beside weights that are tuned, and {config.tuning} writes them whole"
        )
    rows = chat_lora.stored(subsets, COLUMNS, config, run)
    return vlm_lora.each(
        rows, config, run, seed=run.seed if seed is None else seed, worn=worn, train=train, code=trainer
    )
