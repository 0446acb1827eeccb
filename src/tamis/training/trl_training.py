"""What TRL's trainers share here: one LoRA of a chat model, begun, gone on with where it was cut off, written."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from tamis import models
from tamis.config import ConfigError
from tamis.images import Unscorable
from tamis.language_model import language_layers
from tamis.run import versions
from tamis.training import peft_files
from tamis.training.adapter import Adapter, record, unfinish, weights_hash
from tamis.training.diffusion_models import training_dtype
from tamis.training.vqa_model import forget_peak, peak_bytes

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source
    from tamis.training.dpo import DpoLora
    from tamis.training.vlm_lora import VlmLora
    from tamis.training.vlm_tuning import VlmTuning


@dataclass(frozen=True)
class Order:
    """One adapter, as it was asked for."""

    name: str
    rows: Dataset
    key: str
    folder: Path
    base: Source
    config: VlmLora | VlmTuning | DpoLora
    run: Run
    seed: int  # decides every draw
    worn: Path | None = None  # an adapter that the base wears, frozen

    @property
    def checkpoints(self) -> Path:
        return self.run.output_dir / "training" / f"vlm-{self.key[:32]}"


@dataclass(frozen=True)
class Result:
    """A model that was trained."""

    model: Any
    state: dict[str, torch.Tensor] | None  # its weights, where the model holds a share of them
    learnt: list[str]  # names of those that were let move, as they were before the model was shared out

    @property
    def parameters(self) -> int:
        weights = dict(self.model.named_parameters()) if self.state is None else self.state
        return sum(weights[name].numel() for name in self.learnt)


Save = Callable[[Order, Result], list[str]]  # the names of the files that it writes


def train(
    order: Order, trainer_of: Callable[[int], Any], *, rows: int, left_out: Counter[str], save: Save | None = None
) -> tuple[Adapter | None, int]:
    """The adapter, on rank 0, and the steps that were taken here. trainer_of: makes the trainer whose steps are taken
    in so many parts. save: writes what was learnt; None: as an adapter in PEFT's format."""
    from accelerate.utils.memory import should_reduce_batch_size
    from transformers import set_seed

    config, run = order.config, order.run
    forget_peak(models.device())
    parts = 1
    while True:
        models.release()
        set_seed(order.seed)
        trainer = trainer_of(parts)
        learnt = [name for name, weight in trainer.model.named_parameters() if weight.requires_grad]
        began, before = time.perf_counter(), last(order.checkpoints)
        try:
            trainer.train(resume_from_checkpoint=None if before is None else str(before))
            break
        except RuntimeError as error:
            more = _more_parts(parts, config.train_batch_size)
            # Of several ranks one would be alone with it: there a smaller batch has to be asked for.
            if run.ranks > 1 or more is None or not should_reduce_batch_size(error):
                raise
            parts = more
        run.say("train: out of memory; fewer rows a forward pass from here on, added up to the same steps")
        del trainer
    seconds = time.perf_counter() - began
    taken = trainer.state.global_step - (0 if before is None else int(before.name.rpartition("-")[2]))
    result = Result(trainer.accelerator.unwrap_model(trainer.model), gathered(trainer), learnt)
    adapter = None
    if run.is_main:
        adapter = written(order, trainer, left_out, rows, seconds, taken, result, save or save_adapter)
    run.wait()
    if run.is_main:
        shutil.rmtree(order.checkpoints, ignore_errors=True)
    return adapter, taken


def arguments(order: Order, parts: int, *, whole: bool = False) -> dict[str, Any]:
    """What the configurations of TRL's trainers have in common. whole: of a model that is tuned itself."""
    config, wrapped = order.config, _wrapped_by_fsdp(order.run)
    if wrapped and not whole:
        raise ConfigError(
            "fsdp_activation_checkpointing: it gives layers other names, under which PEFT (0.21) does not find what a "
            "killed run had learnt; set it to false in the launcher's configuration, and gradient_checkpointing to true"
        )
    return {
        "output_dir": str(order.checkpoints),
        "per_device_train_batch_size": config.train_batch_size // order.run.ranks // parts,
        "gradient_accumulation_steps": config.gradient_accumulation_steps * parts,
        "num_train_epochs": config.num_train_epochs,
        "max_steps": config.max_train_steps or -1,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler,
        "warmup_steps": config.lr_warmup_ratio,  # below 1: a share
        "weight_decay": config.adam_weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "gradient_checkpointing": config.gradient_checkpointing and not wrapped,
        "max_length": None,  # a cut could fall among the tokens of a picture
        "remove_unused_columns": False,
        "seed": order.seed,
        "use_cpu": models.device().type == "cpu",
        "bf16": training_dtype() == torch.bfloat16,
        "save_strategy": "no",  # Clock says when
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # would log another number for a loss that is none
        "report_to": [],
        "disable_tqdm": not order.run.is_main,
    }


def _wrapped_by_fsdp(run: Run) -> bool:
    """Whether the launcher's configuration has activations computed again: the trainer is not to do it as well."""
    from accelerate import DistributedType

    accelerator = run.accelerator
    return (
        accelerator.distributed_type == DistributedType.FSDP and accelerator.state.fsdp_plugin.activation_checkpointing
    )


def lora(config: VlmLora | DpoLora, model: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=language_layers(model),
    )


def _more_parts(parts: int, rows: int) -> int | None:
    """At least twice as many, of one size: a step's rows stay the same, and with them what a checkpoint's steps mean,
    in however many parts they were taken. None where a part is a row."""
    return next((more for more in range(2 * parts, rows + 1) if rows % more == 0), None)


def tell(order: Order, left_out: Counter[str], kept: int) -> None:
    for reason, count in left_out.items():
        order.run.say(f"train: {order.name}: {count} of {len(order.rows)} rows left out: {reason}")
    if not kept:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in left_out.items())
        raise ConfigError(f"adapter {order.name!r}: none of its rows can be learnt from ({reasons})")


def control_tokens(tokenizer: Any) -> set[str]:
    """What no text of a row may hold: it would begin or end turns, or stand for a picture."""
    return {str(token) for token in tokenizer.all_special_tokens} | set(tokenizer.get_added_vocab())


def refuse(row: dict[str, Any], columns: tuple[str, ...], control: set[str]) -> None:
    """The first column is what is asked; each of the others is a reply to it."""
    for column in columns:
        said = row[column]
        if not said or any(not isinstance(one["content"], str) or not one["content"].strip() for one in said):
            raise Unscorable(f"{column}: empty")
        if any(token in one["content"] for one in said for token in control):
            raise Unscorable(f"{column}: a control token")
        if column == columns[0] and said[-1]["role"] != "user":
            raise Unscorable(f"{column}: does not end with a user's message")
        if column != columns[0] and [one["role"] for one in said] != ["assistant"]:
            raise Unscorable(f"{column}: is not one message of an assistant")


class Clock(TrainerCallback):
    """A checkpoint as often as was asked for, by rank 0's clock; a loss that is no number ends the run."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.saved = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **told: Any) -> None:
        due = time.perf_counter() - self.saved >= self.order.config.checkpoint_seconds
        if self.order.run.from_main(due):
            control.should_save = True
            self.saved = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **told: Any) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise ArithmeticError(
                f"adapter {self.order.name!r}: the loss is not finite at step {state.global_step} of "
                f"{state.max_steps}; a lower learning_rate may help"
            )


def last(folder: Path) -> Path | None:
    """The last checkpoint that is whole: the trainer writes its own state last."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def gathered(trainer: Any) -> dict[str, torch.Tensor] | None:
    """Weights that are shared out over the ranks (FSDP, ZeRO 3), whole, on rank 0; asked of all ranks together. None
    where every rank has them all."""
    if trainer.is_deepspeed_enabled:
        return trainer.accelerator.get_state_dict(trainer.deepspeed)
    return trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None


def save_adapter(order: Order, result: Result) -> list[str]:
    return peft_files.save(result.model, order.folder, order.base, result.state)


def written(
    order: Order,
    trainer: Any,
    left_out: Counter[str],
    rows: int,
    seconds: float,
    taken: int,
    result: Result,
    save: Save,
) -> Adapter:
    """The adapter's folder, its record last."""
    config = order.config
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tenth = max(1, len(losses) // 10)
    seen = taken * config.train_batch_size * config.gradient_accumulation_steps
    adapter = Adapter(
        order.folder,
        order.base.repo_id,
        order.base.revision,
        {
            "steps": trainer.state.global_step,
            "rows": rows,
            "rows_left_out": sum(left_out.values()),
            "loss_first": sum(losses[:tenth]) / tenth,  # means over a tenth of the steps
            "loss_last": sum(losses[-tenth:]) / tenth,
            "trainable_parameters": result.parameters,
            "seconds": round(seconds, 3),  # since it was last started
            "rows_per_hour": round(3600 * seen / max(seconds, 1e-9)),
            "peak_memory_gb": round(peak_bytes(models.device()) / 1e9, 3),
        },
    )
    unfinish(adapter.path)
    files = save(order, result)
    known = {"settings": config.in_key() | {"seed": order.seed}, "left_out": left_out}
    known |= {"worn": weights_hash(order.worn)}
    known |= {"dtype": str(training_dtype()).removeprefix("torch."), "device": models.device().type}
    record(adapter, order.key, files, known | {"versions": versions()})
    return adapter
