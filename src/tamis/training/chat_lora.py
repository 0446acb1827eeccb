"""What LoRAs of chat models that see have in common, whatever they learn from: settings, rows, and what decides one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tamis.config import ConfigError
from tamis.journal import content_hash, source_code
from tamis.training.adapter import refuse_names, weights_hash
from tamis.training.bounds import refuse_outside

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source

# Speed, memory, disk: not the adapter. And the base, which is in the key by content: as given it may be a path.
NOT_IN_KEY = ("gradient_checkpointing", "checkpoint_seconds", "features_gb", "base_model", "base_revision")


@dataclass(kw_only=True)
class ChatLora:
    """The settings that they share. Who inherits them calls refuse_unfit_training()."""

    bounds: ClassVar[tuple[tuple[Any, ...], ...]] = (
        ("lora_r", 1),
        ("lora_alpha", 1e-9),
        ("lora_dropout", 0, 1),
        ("max_pixels", 1),
        ("num_train_epochs", 1),
        ("max_train_steps", 1),
        ("train_batch_size", 1),
        ("gradient_accumulation_steps", 1),
        ("learning_rate", 0),
        ("lr_warmup_ratio", 0, 1),
        ("adam_weight_decay", 0),
        ("max_grad_norm", 0),
        ("checkpoint_seconds", 0),
    )

    base_model: Annotated[str, "a chat model that sees: a repo, or a folder"] = "HuggingFaceTB/SmolVLM-500M-Instruct"
    base_revision: Annotated[str | None, "branch, tag or commit of it; what it resolves to is recorded"] = None
    lora_alpha: Annotated[float, "scale is lora_alpha / lora_r"] = 32.0
    max_pixels: Annotated[int, "larger images are scaled down to this"] = 602112
    num_train_epochs: Annotated[int, "epochs"] = 1
    max_train_steps: Annotated[int | None, "optimiser steps instead of epochs"] = None
    gradient_accumulation_steps: Annotated[int, "batches an optimiser step"] = 1
    lr_scheduler: Annotated[Literal["constant", "constant_with_warmup", "linear", "cosine"], "how it goes on"] = (
        "cosine"
    )
    lr_warmup_ratio: Annotated[float, "share of the steps until the learning rate is reached"] = 0.03
    adam_weight_decay: Annotated[float, "of AdamW"] = 0.0
    max_grad_norm: Annotated[float, "longest gradient; 0: not clipped"] = 1.0
    gradient_checkpointing: Annotated[bool, "compute twice what would not fit the memory"] = False
    checkpoint_seconds: Annotated[float, "work that a kill can cost"] = 300.0

    def __post_init__(self) -> None:
        self.refuse_unfit_training()

    def refuse_unfit_training(self) -> None:
        refuse_outside(self, self.bounds)

    def deciding(self, of: type[ChatLora]) -> dict[str, Any]:
        """What decides an adapter of a base, of the settings of this kind of training; a recipe's own fields do not."""
        names = [field.name for field in dataclasses.fields(of) if field.name not in NOT_IN_KEY]
        return {name: getattr(self, name) for name in names}


def stored(subsets: dict[str, Dataset], columns: Sequence[str], config: ChatLora, run: Run) -> dict[str, Dataset]:
    """The rows of each adapter, as they lie on the disk; what cannot be trained is refused by name."""
    refuse_names(subsets)
    config.refuse_unfit_training()
    refuse_unfit_ranks(config, run)
    return {name: as_stored(name, rows, columns) for name, rows in subsets.items()}


def refuse_unfit_ranks(config: ChatLora, run: Run) -> None:
    if config.train_batch_size % run.ranks:
        raise ConfigError(f"train_batch_size: {config.train_batch_size} cannot be shared by {run.ranks} ranks")


def as_stored(name: str, rows: Dataset, columns: Sequence[str]) -> Dataset:
    from datasets import Image

    if len(rows) == 0:
        raise ConfigError(f"adapter {name!r}: its subset has no rows")
    for column in columns:
        if column not in rows.column_names:
            raise ConfigError(
                f"adapter {name!r}: column {column!r} is not in its subset; it has: {', '.join(rows.column_names)}"
            )
    rows = rows.select_columns(list(columns)).with_format(None)
    return rows.cast_column("image", Image(decode=False)) if isinstance(rows.features["image"], Image) else rows


def keys(
    subsets: dict[str, Dataset], settings: dict[str, Any], seed: int, base: Source, worn: Path | None, code: Any
) -> dict[str, str]:
    """Everything that decides an adapter. Whatever of it changes, what was trained before is not taken for it.

    subsets: as stored() gives them. settings: as deciding() does. code: what trains.
    """
    from tamis.training.diffusion_models import training_dtype

    shared = {
        "settings": settings,
        "seed": seed,
        "base": [base.repo_id, base.revision],
        "worn": weights_hash(worn),
        "dtype": str(training_dtype()),
        "code": source_code(code),
    }
    told = {name: shared | {"rows": content_hash(rows)} for name, rows in subsets.items()}
    return {name: hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() for name, one in told.items()}
