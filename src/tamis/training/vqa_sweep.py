"""All adapters of a call: pictures encoded before them, adapters shared among ranks, what they leave behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from tamis.config import ConfigError
from tamis.journal import source_code
from tamis.run import versions
from tamis.training.adapter import Adapter, record, unfinish
from tamis.training.checkpoints import Stack, checkpoint_of
from tamis.training.peft_files import save
from tamis.training.pictures import Pictures, side_by_side
from tamis.training.vision_cache import Seen, VisionCache
from tamis.training.vqa_model import VqaModel, forget_peak, load, peak_bytes
from tamis.training.vqa_rows import Rows, learnable, read
from tamis.training.vqa_training import VqaTraining

if TYPE_CHECKING:
    from tamis.training.vqa_lora import Asked


@dataclass
class Done:
    """What this rank did: its adapters, and how fast."""

    adapters: list[tuple[str, Adapter]] = field(default_factory=list)
    steps: int = 0
    rows: int = 0
    seconds: float = 0.0
    encoded_again: int = 0
    rows_per_forward: int | None = None


def train_all(asked: Asked, unfinished: list[str]) -> tuple[dict[str, Adapter], dict[str, Any]]:
    """Trains the adapters that are not finished; they are given to every rank, with figures for the ledger."""
    config, run = asked.config, asked.run
    model = load(config.base_model, asked.base.revision, in_8bit=config.load_in_8bit)
    if model.dtype == torch.float32 and model.device.type == "cuda":
        run.say("train: this card has no bfloat16; trained in float32")
    rows, cache, kept = _read(asked, unfinished, model)
    done = _train_mine(unfinished[run.rank :: run.ranks], asked, rows, model, cache)
    everyone = run.gathered([done])
    cache.close()
    return dict(pair for one in everyone for pair in one.adapters), _figures(everyone, model, rows, kept, run.ranks)


def _read(asked: Asked, unfinished: list[str], model: VqaModel) -> tuple[dict[str, Rows], VisionCache, dict[str, int]]:
    """The rows of the adapters to train, and their pictures as the model sees them."""
    config, run = asked.config, asked.run
    pictures = Pictures(asked.columns.image)
    with run.stage("encode images") as entry:
        different = {id(one.rows): one.rows for one in asked.wanted.values()}
        told = {number: read(some, asked.columns, pictures) for number, some in different.items()}
        needed = {row[0] for name in unfinished for row in told[id(asked.wanted[name].rows)][0]}
        mine = sorted(pictures.where)[run.rank :: run.ranks]
        unreadable = dict(pair for found in run.gathered([pictures.unreadable(mine)]) for pair in found.items())
        rows = {}
        for name in unfinished:
            rows[name] = learnable(*told[id(asked.wanted[name].rows)], unreadable, model, config)
            _tell(name, rows[name], len(asked.wanted[name].rows), config, run)
        cache = VisionCache(
            partial(as_seen, model, pictures),
            asked.features,
            gigabytes=config.vision_cache_gb,
            identity={
                "base": [asked.base.repo_id, asked.base.revision],
                "in_8bit": config.load_in_8bit,
                "dtype": str(model.dtype),
                "code": source_code(VqaModel),
            },
        )
        needed = [digest for digest in pictures.where if digest in needed and digest not in unreadable]
        encoded = sum(run.gathered([cache.fill(needed, run)]))
        kept = {"images": len(needed), "images_cached": len(cache.kept & set(needed))}
        entry |= {"rows": len(needed), **kept, "images_encoded": encoded, "cache_bytes": cache.bytes}
        entry["images_encoded_at_every_use"] = len(needed) - kept["images_cached"]
    if config.vision_cache_gb and entry["images_encoded_at_every_use"]:
        run.say(
            f"train: vision_cache_gb {config.vision_cache_gb:g} holds {kept['images_cached']} of {len(needed)} images; "
            "the others are encoded again at every use"
        )
    return rows, cache, kept


def as_seen(model: VqaModel, pictures: Pictures, digests: list[str]) -> list[Seen]:
    pixels = side_by_side(lambda digest: model.pixels(pictures.decoded(digest)), digests)
    return [Seen(features) for features in model.features(torch.stack(pixels))]


def _tell(name: str, rows: Rows, of: int, config: Any, run: Any) -> None:
    for reason, count in rows.left_out.items():
        run.say(f"train: {name}: {count} of {of} rows left out: {reason}")
    for what, count, longest in (
        ("questions", rows.questions_cut, config.question_tokens),
        ("answers", rows.answers_cut, config.answer_tokens),
    ):
        if count:
            run.say(f"train: {name}: {count} of {len(rows.examples)} {what} are longer than {longest} tokens: cut")
    if not rows.examples:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in rows.left_out.items())
        raise ConfigError(f"adapter {name!r}: none of its rows can be learnt from ({reasons})")


def _train_mine(names: list[str], asked: Asked, rows: dict[str, Rows], model: VqaModel, cache: VisionCache) -> Done:
    from tqdm.auto import tqdm

    config, run, done = asked.config, asked.run, Done()
    steps = {name: config.optimizer_steps(len(rows[name].examples)) for name in names}
    with tqdm(
        total=sum(steps.values()),
        desc="train" + (f" (rank 0 of {run.ranks})" if run.ranks > 1 else ""),
        unit="step",
        disable=not run.is_main,
    ) as bar:
        most_rows = None
        for name in names:
            forget_peak(model.device)
            checkpoint = checkpoint_of(Stack([name], steps[name]), asked.checkpoints, asked.keys)
            training = VqaTraining(
                name,
                rows[name],
                asked.wanted[name].shape,
                steps[name],
                model=model,
                cache=cache,
                config=config,
                seed=asked.wanted[name].seed,
                say=run.say,
                most_rows=most_rows,
            )
            before = training.restore(checkpoint.load())
            bar.initial = bar.n = bar.n + before  # steps of an earlier process are in no rate
            training.train(checkpoint, progress=partial(_advance, bar))
            done.adapters.append((name, _written(training, asked, cache)))
            training.taken_off()
            checkpoint.remove()
            done.steps += training.steps - before
            done.rows += training.rows_seen_here
            done.seconds += training.seconds_here
            done.rows_per_forward = training.rows_per_forward
            most_rows = training.rows_per_forward if training.halved else None
    done.encoded_again = cache.encoded_again
    return done


def _advance(bar: Any, loss: float | None) -> None:
    if loss is not None:
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    bar.update(1)


def _written(training: VqaTraining, asked: Asked, cache: VisionCache) -> Adapter:
    """The adapter's folder, its record last."""
    name, rows, model = training.name, training.rows, training.model
    losses = training.losses.tolist()
    tenth = max(1, len(losses) // 10)
    images = {row.image for row in rows.examples}
    adapter = Adapter(
        asked.folder(name),
        asked.base.repo_id,
        asked.base.revision,
        {
            "steps": training.steps,
            "rows": len(rows.examples),
            "rows_left_out": sum(rows.left_out.values()),
            "questions_cut": rows.questions_cut,
            "answers_cut": rows.answers_cut,
            "images": len(images),
            "images_cached": len(images & cache.kept),
            "loss_first": sum(losses[:tenth]) / tenth,  # means over a tenth of the steps
            "loss_last": sum(losses[-tenth:]) / tenth,
            "trainable_parameters": sum(weight.numel() for weight in training.weights),
            "seconds": round(training.seconds, 3),
            "rows_per_hour": round(3600 * training.rows_seen / max(training.seconds, 1e-9)),
            "peak_memory_gb": round(peak_bytes(model.device) / 1e9, 3),
        },
    )
    unfinish(adapter.path)
    files = save(training.worn, adapter.path, asked.base)
    record(
        adapter,
        asked.keys[name],
        files,
        {
            "settings": asked.config.in_key() | {"shape": str(asked.wanted[name].shape), "seed": training.seed},
            "left_out": rows.left_out,
            "dtype": "int8" if asked.config.load_in_8bit else str(model.dtype).removeprefix("torch."),
            "device": model.device.type,
            "versions": versions(),
        },
    )
    return adapter


def _figures(
    everyone: list[Done], model: VqaModel, rows: dict[str, Rows], kept: dict[str, int], ranks: int
) -> dict[str, Any]:
    seconds = max(done.seconds for done in everyone)  # ranks work side by side
    return {
        "adapters": sum(len(done.adapters) for done in everyone),
        "steps": (steps := sum(done.steps for done in everyone)),
        "steps_per_second": round(steps / max(seconds, 1e-9), 3),
        "rows_per_hour": round(3600 * sum(done.rows for done in everyone) / max(seconds, 1e-9)),
        "rows_per_forward": min((n for done in everyone if (n := done.rows_per_forward)), default=None),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "ranks": ranks,
        **kept,
        "images_encoded_again": sum(done.encoded_again for done in everyone),
        "rows_left_out": dict(sum((one.left_out for one in rows.values()), Counter())),
    }
