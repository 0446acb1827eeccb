"""train_dpo_loras(): LoRAs of chat models that see, by TRL's DPO trainer, on pairs of replies about a picture each.

Adapted are the linear layers of the language model; what the vision tower sees stays the same, so that it looks at each
picture once for all adapters, epochs and later calls, as far as the disk that is given to it goes. The reference is the
base itself, its log-probabilities computed once for all adapters of a call. All ranks train one adapter together.
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

NOT_IN_KEY = ("gradient_checkpointing", "checkpoint_seconds", "features_gb")  # speed, memory, disk: not the adapter
BASE = ("base_model", "base_revision")  # beside the settings, by content: as given it may be a path of this machine


@dataclass(kw_only=True)
class DpoLora:
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    base_model: Annotated[str, "a chat model that sees: a repo, or a folder"] = "HuggingFaceTB/SmolVLM-500M-Instruct"
    base_revision: Annotated[str | None, "branch, tag or commit of it; what it resolves to is recorded"] = None
    lora_r: Annotated[int, "rank"] = 32
    lora_alpha: Annotated[float, "scale is lora_alpha / lora_r"] = 32.0
    # TRL's DPO turns all dropout off, so that a step without learning is the reference's; above 0 it is left on.
    lora_dropout: Annotated[float, "share of an adapted layer's inputs that a LoRA does not see in training"] = 0.0
    beta: Annotated[float, "of DPO: how much it costs to leave the reference"] = 0.1
    max_pixels: Annotated[int, "larger images are scaled down to this"] = 602112
    num_train_epochs: Annotated[int, "epochs"] = 1
    max_train_steps: Annotated[int | None, "optimiser steps instead of epochs"] = None
    train_batch_size: Annotated[int, "pairs a batch, of all ranks together"] = 8
    gradient_accumulation_steps: Annotated[int, "batches an optimiser step"] = 1
    learning_rate: Annotated[float, "of AdamW"] = 1e-5
    lr_scheduler: Annotated[Literal["constant", "constant_with_warmup", "linear", "cosine"], "how it goes on"] = (
        "cosine"
    )
    lr_warmup_ratio: Annotated[float, "share of the steps until the learning rate is reached"] = 0.03
    adam_weight_decay: Annotated[float, "of AdamW"] = 0.0
    max_grad_norm: Annotated[float, "longest gradient; 0: not clipped"] = 1.0
    load_in_4bit: Annotated[bool, "the language model in 4 bits (nf4), for cards that do not hold it whole"] = False
    features_gb: Annotated[
        float, "disk that features of frozen vision towers may take; beyond it pictures are encoded again; 0: none"
    ] = 20.0
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
                ("beta", 1e-9),
                ("max_pixels", 1),
                ("num_train_epochs", 1),
                ("max_train_steps", 1),
                ("train_batch_size", 1),
                ("gradient_accumulation_steps", 1),
                ("learning_rate", 0),
                ("lr_warmup_ratio", 0, 1),
                ("adam_weight_decay", 0),
                ("max_grad_norm", 0),
                ("features_gb", 0),
                ("checkpoint_seconds", 0),
            ),
        )

    def in_key(self) -> dict[str, Any]:
        """What decides an adapter of a base, of these settings; a recipe's own fields do not."""
        names = [field.name for field in dataclasses.fields(DpoLora) if field.name not in (*NOT_IN_KEY, *BASE)]
        return {name: getattr(self, name) for name in names}


def train_dpo_loras(
    subsets: dict[str, Dataset],
    config: DpoLora,
    run: Run,
    *,
    features: Path | None = None,
    seed: int | None = None,
    worn: Path | None = None,
) -> dict[str, Adapter]:
    """Adapters by the names of the subsets, in run.output_dir/adapters/NAME as PEFT saves them; all on every rank.

    A row: `image`; `prompt`, `chosen` and `rejected`, lists of messages {role, content}, content a text; a reply is one
    message. The picture stands before the first message; the prompt is what a judge would ask with. features: the
    folder of what vision towers see, run.output_dir/features where none is given; calls that share it, of models with
    the same vision tower, look at a picture once. seed decides every draw; None: the run's. worn: the folder of an
    adapter of the base that it wears, frozen, in training and as the reference; what is learnt goes beside it.
    """
    from tamis.training.dpo_training import Asked, train_all

    refuse_names(subsets)
    config.refuse_unfit_training()
    if config.train_batch_size % run.ranks:
        raise ConfigError(f"train_batch_size: {config.train_batch_size} cannot be shared by {run.ranks} ranks")
    for name, rows in subsets.items():
        _refuse_unfit(name, rows)
    if config.load_in_4bit:
        _refuse_without_bitsandbytes()
    base = base_of(config.base_model, config.base_revision, run)
    seed = run.seed if seed is None else seed
    stored = {name: _as_stored(rows) for name, rows in subsets.items()}
    keys = run.from_main(_keys(stored, config, seed, base, worn) if run.is_main else None)
    folders = {name: run.output_dir / "adapters" / name for name in subsets}
    with run.stage("train") as entry:
        # What is there is decided by rank 0: ranks that look for themselves could see different things.
        found = {name: finished(folders[name], keys[name]) for name in subsets} if run.is_main else None
        adapters = {name: adapter for name, adapter in run.from_main(found).items() if adapter is not None}
        entry |= {"adapters": len(subsets) - len(adapters), "adapters_reused": len(adapters), "steps": 0}
        entry["ranks"] = run.ranks
        unfinished = {name: rows for name, rows in stored.items() if name not in adapters}
        if unfinished:
            features = features or run.output_dir / "features"
            asked = Asked(unfinished, keys, folders, base, config, run, seed, features, worn)
            trained, figures = train_all(asked)
            adapters |= trained
            entry |= figures
    return {name: adapters[name] for name in subsets}


def _as_stored(rows: Dataset) -> Dataset:
    from datasets import Image

    from tamis.training.dpo_rows import COLUMNS

    rows = rows.select_columns(list(COLUMNS)).with_format(None)
    return rows.cast_column("image", Image(decode=False)) if isinstance(rows.features["image"], Image) else rows


def _refuse_unfit(name: str, rows: Dataset) -> None:
    from tamis.training.dpo_rows import COLUMNS

    if len(rows) == 0:
        raise ConfigError(f"adapter {name!r}: its subset has no rows")
    for column in COLUMNS:
        if column not in rows.column_names:
            raise ConfigError(
                f"adapter {name!r}: column {column!r} is not in its subset; it has: {', '.join(rows.column_names)}"
            )


def _refuse_without_bitsandbytes() -> None:
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is None:
        raise ConfigError("load_in_4bit: needs bitsandbytes, which is not installed")


def _keys(subsets: dict[str, Dataset], config: DpoLora, seed: int, base: Source, worn: Path | None) -> dict[str, str]:
    """Everything that decides an adapter. Whatever of it changes, what was trained before is not taken for it."""
    from tamis.training.diffusion_models import training_dtype
    from tamis.training.dpo_training import Asked

    shared = {
        "settings": config.in_key(),
        "seed": seed,
        "base": [base.repo_id, base.revision],
        "worn": weights_hash(worn),
        "dtype": str(training_dtype()),
        "code": source_code(Asked),
    }
    told = {name: shared | {"rows": content_hash(rows)} for name, rows in subsets.items()}
    return {name: hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() for name, one in told.items()}
