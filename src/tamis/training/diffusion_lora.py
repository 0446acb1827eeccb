"""train_diffusion_loras(): one LoRA of a diffusion model for each subset of rows, several of them in one batch.

What the settings mean is what they mean in kohya's trainer, whose words they are. The adapters of a stack share every
forward pass of the frozen model and nothing else: each comes out as if it had been trained alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tamis.config import ConfigError
from tamis.journal import content_hash, source_code
from tamis.training.adapter import Adapter, base_of, finished, refuse_names
from tamis.training.bounds import refuse_outside

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source
    from tamis.training.examples import Columns
    from tamis.training.stacks import Wanted

# These decide speed and what is shown, not the adapter: another value finds the same one again.
NOT_IN_KEY = ("adapters_at_once", "sample_every", "checkpoint_seconds", "gradient_checkpointing")


@dataclass(kw_only=True)
class DiffusionLora:
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    base_model: Annotated[str, "Stable Diffusion 1.x, 2.x or XL: a repo of diffusers, or a folder"] = (
        "stable-diffusion-v1-5/stable-diffusion-v1-5"
    )
    base_revision: Annotated[str | None, "branch, tag or commit of it; what it resolves to is recorded"] = None
    resolution: Annotated[int, "side of a square image in pixels; other shapes have as many pixels at most"] = 512
    aspect_buckets: Annotated[bool, "keep the shape of images, in steps of 64 pixels; without: a centre square"] = True
    lora_r: Annotated[int, "rank"] = 16
    lora_alpha: Annotated[float, "scale is lora_alpha / lora_r"] = 8.0
    lora_targets: Annotated[
        Literal["transformer", "attention"],
        "transformer: every linear layer and 1x1 convolution of the transformer blocks (kohya's default); attention: "
        "to_q, to_k, to_v, to_out alone (the example script of diffusers)",
    ] = "transformer"
    train_text_encoder: Annotated[bool, "adapt the text encoder too: no cache of texts, one adapter at a time"] = False
    num_train_epochs: Annotated[int, "epochs"] = 20
    num_repeats: Annotated[int, "times an image counts in an epoch"] = 5
    max_train_steps: Annotated[int | None, "optimiser steps instead of epochs"] = None
    train_batch_size: Annotated[int, "images a batch; all of one shape"] = 1
    gradient_accumulation_steps: Annotated[int, "batches an optimiser step"] = 1
    learning_rate: Annotated[float, "of AdamW"] = 1e-4
    lr_scheduler: Annotated[
        Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"],
        "how the learning rate goes on",
    ] = "constant"
    lr_warmup_steps: Annotated[int, "steps until the learning rate is reached"] = 0
    adam_weight_decay: Annotated[float, "of AdamW"] = 1e-2
    max_grad_norm: Annotated[float | None, "longest gradient of an adapter; null: not clipped"] = 1.0
    snr_gamma: Annotated[float | None, "min-SNR weighting of timesteps (5 is customary); null: none"] = None
    dpo_beta: Annotated[float, "of adapters that learn from pairs: how fast a preference counts as learnt"] = 5000.0
    gradient_checkpointing: Annotated[bool, "compute twice what would not fit the memory"] = False
    adapters_at_once: Annotated[int, "adapters trained in one batch; memory of activations grows with it"] = 1
    checkpoint_seconds: Annotated[float, "work that a kill can cost"] = 300.0
    sample_every: Annotated[int | None, "steps between pictures drawn for the tracker; null: none"] = None

    def __post_init__(self) -> None:
        self.refuse_unfit_training()

    def refuse_unfit_training(self) -> None:
        refuse_outside(
            self,
            (
                ("resolution", 8),
                ("lora_r", 1),
                ("lora_alpha", 1e-9),
                ("num_train_epochs", 1),
                ("num_repeats", 1),
                ("max_train_steps", 1),
                ("train_batch_size", 1),
                ("gradient_accumulation_steps", 1),
                ("learning_rate", 0),
                ("lr_warmup_steps", 0),
                ("adam_weight_decay", 0),
                ("max_grad_norm", 1e-9),
                ("snr_gamma", 1e-9),
                ("dpo_beta", 1e-9),
                ("adapters_at_once", 1),
                ("checkpoint_seconds", 0),
                ("sample_every", 1),
            ),
        )

    def optimizer_steps(self, images: int) -> int:
        """Steps that so many images of one shape come to."""
        batches = -(-images * self.num_repeats // self.train_batch_size)
        return self.max_train_steps or self.num_train_epochs * -(-batches // self.gradient_accumulation_steps)

    def in_key(self) -> dict[str, Any]:
        """What decides an adapter, of these settings; a recipe's own fields do not."""
        names = [field.name for field in dataclasses.fields(DiffusionLora) if field.name not in NOT_IN_KEY]
        return {name: getattr(self, name) for name in names}


def train_diffusion_loras(
    subsets: dict[str, Dataset],
    config: DiffusionLora,
    run: Run,
    *,
    image_column: str = "image",
    caption_column: str | None = None,
    captions: dict[str, str] | None = None,
    worse_column: str | None = None,
    steps: dict[str, int] | None = None,
) -> dict[str, Adapter]:
    """Adapters by the names of the subsets, in run.output_dir/adapters/NAME; all of them on every rank.

    A row's caption is its cell of caption_column, or its subset's in `captions`. With worse_column a row is a pair, and
    its adapter learns to prefer the image to the one in that column (Diffusion-DPO). `steps`: optimiser steps of some
    adapters, instead of what epochs and images come to. run.seed decides every draw.
    """
    from tamis.training.checkpoints import begun
    from tamis.training.examples import Columns
    from tamis.training.stacks import Wanted, train_stacks

    columns = Columns(image_column, caption_column, captions or {}, worse_column)
    refuse_names(subsets)
    columns.refuse_unfit(subsets)
    _refuse_steps(steps or {}, subsets)
    config.refuse_unfit_training()
    if worse_column is not None and config.snr_gamma is not None:
        raise ConfigError("snr_gamma: pairs are not weighted by timestep; set it to null for adapters of pairs")
    base = base_of(config.base_model, config.base_revision, run)
    keys = run.from_main(_keys(subsets, columns, config, run, steps or {}, base) if run.is_main else None)
    wanted = Wanted(subsets, columns, steps or {}, config, run, base, keys)

    with run.stage("train") as entry:
        # What is there is decided once, by rank 0: ranks that look for themselves could see different things.
        adapters = run.from_main(_finished(wanted) if run.is_main else None)
        unfinished = [name for name in subsets if name not in adapters]
        entry |= {"adapters": 0, "adapters_reused": len(adapters)}
        started = run.from_main(begun(wanted.checkpoints, keys, unfinished) if run.is_main else None)
        if unfinished:
            trained, figures = train_stacks(wanted, started, unfinished)
            adapters |= trained
            entry |= figures
    return {name: adapters[name] for name in subsets}


def _refuse_steps(steps: dict[str, int], subsets: dict[str, Dataset]) -> None:
    for name, count in steps.items():
        if name not in subsets:
            raise ConfigError(f"steps: no adapter {name!r}; there are: {', '.join(subsets)}")
        if count < 1:
            raise ConfigError(f"steps: {count} for adapter {name!r} is not accepted; expected 1 or more")


def _keys(
    subsets: dict[str, Dataset],
    columns: Columns,
    config: DiffusionLora,
    run: Run,
    steps: dict[str, int],
    base: Source,
) -> dict[str, str]:
    """Everything that decides an adapter. Whatever of it changes, what was trained before is not taken for it."""
    from tamis.training.diffusion_models import training_dtype
    from tamis.training.examples import Examples
    from tamis.training.lora_files import save
    from tamis.training.stack_training import StackTraining

    shared = {
        "settings": config.in_key(),
        "seed": run.seed,
        "base": [base.repo_id, base.revision],
        "dtype": str(training_dtype()),
        "code": [source_code(part) for part in (StackTraining, Examples, save)],
    }
    own = {
        name: {
            "name": name,
            "rows": content_hash(columns.of(rows)),
            "caption": columns.captions.get(name) if columns.caption is None else None,
            "steps": steps.get(name),
        }
        for name, rows in subsets.items()
    }
    return {
        name: hashlib.sha256(json.dumps(shared | told, sort_keys=True).encode()).hexdigest()
        for name, told in own.items()
    }


def _finished(wanted: Wanted) -> dict[str, Adapter]:
    found = {name: finished(wanted.folder(name), wanted.keys[name]) for name in wanted.subsets}
    return {name: adapter for name, adapter in found.items() if adapter is not None}
