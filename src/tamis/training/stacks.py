"""All stacks of a run: what is encoded before them, how they are shared among ranks, what they leave behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis.run import versions
from tamis.training.adapter import Adapter, record, unfinish
from tamis.training.checkpoints import Stack, checkpoint_of, formed
from tamis.training.diffusion_models import DiffusionModel, load
from tamis.training.examples import Columns, Examples, encode, encode_texts
from tamis.training.lora_files import save
from tamis.training.samples import NO_WORDS, sample
from tamis.training.stack_training import StackTraining, order_of

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source
    from tamis.training.diffusion_lora import DiffusionLora


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    subsets: dict[str, Dataset]
    columns: Columns
    steps: dict[str, int]
    config: DiffusionLora
    run: Run
    base: Source
    keys: dict[str, str]

    def folder(self, name: str) -> Path:
        return self.run.output_dir / "adapters" / name

    @property
    def checkpoints(self) -> Path:
        return self.run.output_dir / "training"


@dataclass
class Done:
    """What this rank did: its adapters, and how fast."""

    adapters: list[tuple[str, Adapter]] = field(default_factory=list)
    steps: int = 0  # of adapters: a step of a stack of four is four
    samples: int = 0
    seconds: float = 0.0
    samples_per_forward: int | None = None


def train_stacks(
    wanted: Wanted, begun: list[Stack], unfinished: list[str]
) -> tuple[dict[str, Adapter], dict[str, Any]]:
    """Trains the adapters that are not finished; they are given to every rank, with figures for the ledger."""
    config, run = wanted.config, wanted.run
    names = [name for name in wanted.subsets if name in unfinished or any(name in stack.names for stack in begun)]
    model = load(config.base_model, wanted.base.revision)
    if model.dtype == torch.float32 and model.device.type == "cuda":
        run.say("train: this card has no bfloat16; trained in float32")
    examples = _encoded(wanted, names, model)
    steps = {name: _steps(name, wanted, examples) for name in names}
    rest = {name: steps[name] for name in names if not any(name in stack.names for stack in begun)}
    at_once = 1 if config.train_text_encoder else config.adapters_at_once
    stacks = begun + formed(rest, at_once)
    done = _train_mine(stacks[run.rank :: run.ranks], wanted, model, examples)
    everyone = run.gathered([done])
    return dict(pair for one in everyone for pair in one.adapters), _figures(everyone, model, at_once, examples, wanted)


def _encoded(wanted: Wanted, names: list[str], model: DiffusionModel) -> Examples:
    config, run = wanted.config, wanted.run
    subsets = {name: wanted.subsets[name] for name in names}
    with run.stage("encode images") as entry:
        examples = encode(
            subsets, wanted.columns, model, run, resolution=config.resolution, shapes=config.aspect_buckets
        )
        entry["rows"] = len(examples.latents)
    for name, reasons in examples.left_out.items():
        for reason, count in reasons.items():
            run.say(f"train: {name}: {count} of {len(subsets[name])} rows left out: {reason}")
    encoders = list(model.text_encoders.values())
    model.bring(*encoders)
    if config.train_text_encoder:
        run.say("train: the text encoder is trained: texts are encoded at every step, adapters one after another")
    else:
        encode_texts(examples, model, more=[NO_WORDS] if config.sample_every else [])
        model.send_away(*encoders)
    model.bring(model.unet)
    if config.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    return examples


def _steps(name: str, wanted: Wanted, examples: Examples) -> int:
    config = wanted.config
    given = wanted.steps.get(name, config.max_train_steps)
    if given is not None:
        return given
    return config.num_train_epochs * order_of(name, examples, config, wanted.run.seed).steps_per_epoch


def _train_mine(stacks: list[Stack], wanted: Wanted, model: DiffusionModel, examples: Examples) -> Done:
    from tqdm.auto import tqdm

    config, run, done = wanted.config, wanted.run, Done()
    sampling = None
    if config.sample_every is not None:
        trackers = run.accelerator.trackers if run.is_main else []
        sampling = partial(sample, trackers=trackers, folder=run.output_dir / "samples")
    with tqdm(
        total=sum(stack.steps * len(stack.names) for stack in stacks),
        desc="train" + (f" (rank 0 of {run.ranks})" if run.ranks > 1 else ""),
        unit="step",
        disable=not run.is_main,
    ) as bar:
        most_samples = None
        for stack in stacks:
            checkpoint = checkpoint_of(stack, wanted.checkpoints, wanted.keys)
            training = StackTraining(
                stack.names,
                stack.steps,
                model=model,
                examples=examples,
                config=config,
                seed=run.seed,
                say=run.say,
                most_samples=most_samples,
            )
            before = training.restore(checkpoint.load())
            bar.initial = bar.n = bar.n + before * len(stack.names)  # steps of an earlier process are in no rate
            training.train(checkpoint, progress=partial(_advance, bar, len(stack.names)), sample=sampling)
            done.adapters += [
                (name, _written(training, place, wanted, model)) for place, name in enumerate(stack.names)
            ]
            checkpoint.remove()
            done.steps += (stack.steps - before) * len(stack.names)
            done.samples += training.samples_seen
            done.seconds += training.seconds_here
            done.samples_per_forward = training.samples_per_forward
            most_samples = training.samples_per_forward if training.halved else None
    return done


def _advance(bar: Any, adapters: int, loss: float | None) -> None:
    if loss is not None:
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    bar.update(adapters)


def _written(training: StackTraining, place: int, wanted: Wanted, model: DiffusionModel) -> Adapter:
    """The adapter's folder, its record last."""
    name, config, examples = training.names[place], wanted.config, training.examples
    losses = training.losses[:, place].tolist()
    last = losses[-max(1, len(losses) // 10) :]
    images = len({row.image for row in examples.rows[name]})
    adapter = Adapter(
        wanted.folder(name),
        wanted.base.repo_id,
        wanted.base.revision,
        {
            "steps": training.steps,
            "images": images,
            "loss": sum(last) / len(last),
            "seconds": round(training.seconds, 3),
            "steps_per_second": round(training.steps / max(training.seconds, 1e-9), 3),
            "adapters_at_once": len(training.names),
        },
    )
    unfinish(adapter.path)
    files = save(
        training.stack,
        place,
        model,
        adapter.path,
        {
            "ss_network_dim": str(config.lora_r),
            "ss_network_alpha": str(config.lora_alpha),
            "ss_sd_model_name": adapter.base_model,
            "ss_steps": str(training.steps),
            "ss_num_train_images": str(images * config.num_repeats),
        },
    )
    record(
        adapter,
        wanted.keys[name],
        files,
        {
            "settings": config.in_key() | {"seed": wanted.run.seed},
            "rows": len(examples.rows[name]),
            "left_out": examples.left_out[name],
            "captions": sorted({row.caption for row in examples.rows[name]})[:20],
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": model.device.type,
            "versions": versions(),
        },
    )
    return adapter


def _figures(
    everyone: list[Done], model: DiffusionModel, at_once: int, examples: Examples, wanted: Wanted
) -> dict[str, Any]:
    seconds = max(done.seconds for done in everyone)  # ranks work side by side
    return {
        "adapters": sum(len(done.adapters) for done in everyone),
        "steps": (steps := sum(done.steps for done in everyone)),
        "steps_per_second": round(steps / max(seconds, 1e-9), 3),
        "samples_per_second": round(sum(done.samples for done in everyone) / max(seconds, 1e-9), 3),
        "adapters_at_once": at_once,
        "samples_per_forward": min((n for done in everyone if (n := done.samples_per_forward)), default=None),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "ranks": wanted.run.ranks,
        "images": len(examples.latents),
        "rows_left_out": dict(sum(examples.left_out.values(), Counter())),
    }
