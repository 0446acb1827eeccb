"""train_vlm_loras(): LoRAs of chat models that see, by TRL's SFTTrainer, on conversations about a picture each.

Adapted are the linear layers of the language model; the vision tower stays as it is. Learnt is the completion alone.
All ranks train one adapter together, one adapter after the other: train_batch_size is of all ranks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError
from tamis.journal import content_hash, source_code
from tamis.training.adapter import Adapter, base_of, finished, refuse_names, weights_hash
from tamis.training.bounds import refuse_outside

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source

NOT_IN_KEY = ("gradient_checkpointing", "checkpoint_seconds")  # these decide speed and memory, not the adapter
BASE = ("base_model", "base_revision")  # beside the settings, by content: as given it may be a path of this machine
COLUMNS = ("image", "prompt", "completion")


@dataclass(kw_only=True)
class VlmLora:
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    base_model: Annotated[str, "a chat model that sees: a repo, or a folder"] = "HuggingFaceTB/SmolVLM-500M-Instruct"
    base_revision: Annotated[str | None, "branch, tag or commit of it; what it resolves to is recorded"] = None
    lora_r: Annotated[int, "rank"] = 16
    lora_alpha: Annotated[float, "scale is lora_alpha / lora_r"] = 32.0
    lora_dropout: Annotated[float, "share of an adapted layer's inputs that a LoRA does not see in training"] = 0.05
    max_pixels: Annotated[int, "larger images are scaled down to this"] = 602112
    num_train_epochs: Annotated[int, "epochs"] = 1
    max_train_steps: Annotated[int | None, "optimiser steps instead of epochs"] = None
    train_batch_size: Annotated[int, "rows a batch, of all ranks together"] = 8
    gradient_accumulation_steps: Annotated[int, "batches an optimiser step"] = 1
    learning_rate: Annotated[float, "of AdamW"] = 1e-4
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
        refuse_outside(
            self,
            (
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
            ),
        )

    def in_key(self) -> dict[str, Any]:
        """What decides an adapter of a base, of these settings; a recipe's own fields do not."""
        names = [field.name for field in dataclasses.fields(VlmLora) if field.name not in (*NOT_IN_KEY, *BASE)]
        return {name: getattr(self, name) for name in names}


def train_vlm_loras(
    subsets: dict[str, Dataset],
    config: VlmLora,
    run: Run,
    *,
    seed: int | None = None,
    worn: Path | None = None,
) -> dict[str, Adapter]:
    """Adapters by the names of the subsets, in run.output_dir/adapters/NAME as PEFT saves them; all on every rank.

    A row: `image`; `prompt` and `completion`, lists of messages {role, content}, content a text (conversations.py
    makes them); the completion is one message. The picture stands before the first message; the prompt is what a judge
    would ask with. seed decides every draw; None: the run's. worn: the folder of an adapter of the base that it wears,
    frozen; what is learnt goes beside it.
    """
    from tamis.training.trl_training import Order
    from tamis.training.vlm_training import train

    refuse_names(subsets)
    config.refuse_unfit_training()
    if config.train_batch_size % run.ranks:
        raise ConfigError(f"train_batch_size: {config.train_batch_size} cannot be shared by {run.ranks} ranks")
    for name, rows in subsets.items():
        _refuse_unfit(name, rows)
    base = base_of(config.base_model, config.base_revision, run)
    seed = run.seed if seed is None else seed
    keys = run.from_main(_keys(subsets, config, seed, base, worn) if run.is_main else None)
    adapters: dict[str, Adapter] = {}
    with run.stage("train") as entry:
        entry |= {"adapters": 0, "adapters_reused": 0, "steps": 0, "ranks": run.ranks}
        for name, rows in subsets.items():
            folder = run.output_dir / "adapters" / name
            # What is there is decided by rank 0: ranks that look for themselves could see different things.
            found = run.from_main(finished(folder, keys[name]) if run.is_main else None)
            entry["adapters_reused" if found else "adapters"] += 1
            if found is None:
                order = Order(name, as_stored(rows), keys[name], folder, base, config, run, seed, worn)
                made, steps = train(order)
                found = run.from_main(made)
                entry["steps"] += steps
            adapters[name] = found
    return adapters


def as_stored(rows: Dataset) -> Dataset:
    from datasets import Image

    rows = rows.select_columns(list(COLUMNS)).with_format(None)
    return rows.cast_column("image", Image(decode=False)) if isinstance(rows.features["image"], Image) else rows


def _refuse_unfit(name: str, rows: Dataset) -> None:
    if len(rows) == 0:
        raise ConfigError(f"adapter {name!r}: its subset has no rows")
    for column in COLUMNS:
        if column not in rows.column_names:
            raise ConfigError(
                f"adapter {name!r}: column {column!r} is not in its subset; it has: {', '.join(rows.column_names)}"
            )


def _keys(subsets: dict[str, Dataset], config: VlmLora, seed: int, base: Source, worn: Path | None) -> dict[str, str]:
    """Everything that decides an adapter. Whatever of it changes, what was trained before is not taken for it."""
    from tamis.training.diffusion_models import training_dtype
    from tamis.training.vlm_training import trainer

    shared = {
        "settings": config.in_key(),
        "seed": seed,
        "base": [base.repo_id, base.revision],
        "worn": weights_hash(worn),
        "dtype": str(training_dtype()),
        "code": source_code(trainer),
    }
    told = {name: shared | {"rows": content_hash(as_stored(rows))} for name, rows in subsets.items()}
    return {name: hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() for name, one in told.items()}
