"""train_vqa_loras(): LoRAs of BLIP that answer questions about pictures, one for each set of rows, shape and seed.

The vision tower is frozen, so what it sees in a picture is computed once for all questions, epochs and adapters. Each
adapter is trained by one rank alone: what comes out does not depend on how many there are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.journal import content_hash, source_code
from tamis.training.adapter import Adapter, base_of, finished, refuse_names
from tamis.training.bounds import refuse_outside

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source
    from tamis.training.lora_shapes import LoraShape
    from tamis.training.vqa_rows import Columns

# These decide speed and memory, not the adapter (but for rounding): another value finds the same one again.
NOT_IN_KEY = ("vision_cache_gb", "gradient_checkpointing", "checkpoint_seconds")


@dataclass(kw_only=True)
class VqaLora:
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    base_model: Annotated[str, "a BlipForQuestionAnswering: a repo, or a folder"] = "Salesforce/blip-vqa-base"
    base_revision: Annotated[str | None, "branch, tag or commit of it; what it resolves to is recorded"] = None
    lora_alpha: Annotated[float, "scale is lora_alpha / rank"] = 16.0
    lora_dropout: Annotated[float, "share of an adapted layer's inputs that a LoRA does not see in training"] = 0.01
    question_prefix: Annotated[str, 'stands before each question, in training and in evaluation: "Question: "'] = ""
    question_tokens: Annotated[int, "longest question, with the two tokens at its ends; what is longer is cut"] = 32
    answer_tokens: Annotated[int, "longest answer, with the two tokens at its ends; what is longer is cut"] = 5
    num_train_epochs: Annotated[int, "epochs"] = 1
    max_train_steps: Annotated[int | None, "optimiser steps instead of epochs"] = None
    train_batch_size: Annotated[int, "questions a batch"] = 8
    gradient_accumulation_steps: Annotated[int, "batches an optimiser step"] = 1
    learning_rate: Annotated[float, "of AdamW"] = 3e-5
    lr_scheduler: Annotated[
        Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"],
        "how the learning rate goes on",
    ] = "linear"
    lr_warmup_ratio: Annotated[float, "share of the steps until the learning rate is reached"] = 0.1
    adam_weight_decay: Annotated[float, "of AdamW"] = 1e-2
    max_grad_norm: Annotated[float | None, "longest gradient; null: not clipped"] = 1.0
    load_in_8bit: Annotated[bool, "train on the model in 8 bits (bitsandbytes): half the memory, slower"] = False
    vision_cache_gb: Annotated[float, "disk for what the frozen vision tower sees, 1.8 MB a picture; 0: none"] = 40.0
    gradient_checkpointing: Annotated[bool, "compute twice what would not fit the memory"] = False
    checkpoint_seconds: Annotated[float, "work that a kill can cost"] = 300.0

    def __post_init__(self) -> None:
        self.refuse_unfit_training()

    def refuse_unfit_training(self) -> None:
        refuse_outside(
            self,
            (
                ("lora_alpha", 1e-9),
                ("lora_dropout", 0, 1),
                ("question_tokens", 3),
                ("answer_tokens", 2),
                ("num_train_epochs", 1),
                ("max_train_steps", 1),
                ("train_batch_size", 1),
                ("gradient_accumulation_steps", 1),
                ("learning_rate", 0),
                ("lr_warmup_ratio", 0, 1),
                ("adam_weight_decay", 0),
                ("max_grad_norm", 1e-9),
                ("vision_cache_gb", 0),
                ("checkpoint_seconds", 0),
            ),
        )

    def optimizer_steps(self, rows: int) -> int:
        """Steps that so many rows come to."""
        batches = -(-rows // self.train_batch_size)
        return self.max_train_steps or self.num_train_epochs * -(-batches // self.gradient_accumulation_steps)

    def in_key(self) -> dict[str, Any]:
        """What decides an adapter, of these settings; a recipe's own fields do not."""
        names = [field.name for field in dataclasses.fields(VqaLora) if field.name not in NOT_IN_KEY]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Wanted:
    """An adapter: what it learns from, which layers it has, what its draws follow from."""

    rows: Dataset
    shape: LoraShape
    seed: int


@dataclass(frozen=True)
class Asked:
    """All that was asked for, and where it goes."""

    wanted: dict[str, Wanted]
    columns: Columns
    config: VqaLora
    run: Run
    base: Source
    keys: dict[str, str]

    def folder(self, name: str) -> Path:
        return self.run.output_dir / "adapters" / name

    @property
    def checkpoints(self) -> Path:
        return self.run.output_dir / "training"

    @property
    def features(self) -> Path:
        return self.checkpoints / "features"


def train_vqa_loras(
    wanted: dict[str, Wanted],
    config: VqaLora,
    run: Run,
    *,
    image_column: str = "image",
    question_column: str = "question",
    answer_column: str = "answer",
    image_id_column: str | None = "image_id",
) -> dict[str, Adapter]:
    """Adapters by name, in run.output_dir/adapters/NAME as PEFT saves them; all of them on every rank.

    Adapters of one seed and of equally many rows see their rows in the same order. Pictures are told apart by their
    content; where rows have an image_id, one that names two pictures is refused.
    """
    from tamis.training import vision_cache
    from tamis.training.checkpoints import begun
    from tamis.training.vqa_rows import Columns
    from tamis.training.vqa_sweep import train_all

    columns = Columns(image_column, question_column, answer_column, image_id_column)
    refuse_names(wanted)
    for name, one in wanted.items():
        columns.refuse_unfit(name, one.rows)
    config.refuse_unfit_training()
    base = base_of(config.base_model, config.base_revision, run)
    keys = run.from_main(_keys(wanted, columns, config, base) if run.is_main else None)
    asked = Asked(wanted, columns, config, run, base, keys)

    with run.stage("train") as entry:
        # What is there is decided once, by rank 0: ranks that look for themselves could see different things.
        adapters = run.from_main(_finished(asked) if run.is_main else None)
        unfinished = [name for name in wanted if name not in adapters]
        entry |= {"adapters": 0, "adapters_reused": len(adapters)}
        if run.is_main:
            begun(asked.checkpoints, keys, unfinished)  # away with what is left of those that are finished
        run.wait()
        if unfinished:
            trained, figures = train_all(asked, unfinished)
            adapters |= trained
            entry |= figures
        run.wait()
        if run.is_main:
            vision_cache.remove(asked.features)
    return {name: adapters[name] for name in wanted}


def _keys(wanted: dict[str, Wanted], columns: Columns, config: VqaLora, base: Source) -> dict[str, str]:
    """Everything that decides an adapter. Whatever of it changes, what was trained before is not taken for it."""
    from tamis.training import peft_files, vqa_rows
    from tamis.training.diffusion_models import training_dtype
    from tamis.training.vqa_model import VqaModel
    from tamis.training.vqa_training import VqaTraining

    shared = {
        "settings": config.in_key(),
        "base": [base.repo_id, base.revision],
        "dtype": str(training_dtype()),
        "code": [source_code(part) for part in (VqaTraining, VqaModel, vqa_rows.Rows, peft_files.save)],
    }
    content: dict[int, str] = {}  # a sweep asks for many adapters of the same rows
    keys = {}
    for name, one in wanted.items():
        if id(one.rows) not in content:
            content[id(one.rows)] = content_hash(columns.of(one.rows))
        own = {"rows": content[id(one.rows)], "shape": str(one.shape), "seed": one.seed}
        keys[name] = hashlib.sha256(json.dumps(shared | own, sort_keys=True).encode()).hexdigest()
    return keys


def _finished(asked: Asked) -> dict[str, Adapter]:
    found = {name: finished(asked.folder(name), asked.keys[name]) for name in asked.wanted}
    return {name: adapter for name, adapter in found.items() if adapter is not None}
