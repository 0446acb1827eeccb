"""The adapters of a call: pictures seen, the reference asked, each adapter trained, in that order."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis import models
from tamis.journal import source_code
from tamis.training import chat_base, trl_training, turns
from tamis.training.adapter import weights_hash
from tamis.training.diffusion_models import training_dtype
from tamis.training.dpo_probe import Way, way_of
from tamis.training.dpo_rows import Batches, Pairs, read
from tamis.training.dpo_trainer import PairTrainer, Sight
from tamis.training.eyes import Eyes
from tamis.training.pictures import Pictures
from tamis.training.reference import Reference
from tamis.training.scoring_replies import RepliesScored
from tamis.training.trl_training import Clock, Order, arguments, control_tokens, lora, tell
from tamis.training.vision_cache import VisionCache

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.sources import Source
    from tamis.training.adapter import Adapter
    from tamis.training.dpo import DpoLora


@dataclass(frozen=True)
class Asked:
    """Adapters that are yet to be trained, and where everything goes."""

    subsets: dict[str, Dataset]
    keys: dict[str, str]
    folders: dict[str, Path]
    base: Source
    config: DpoLora
    run: Run
    seed: int
    features: Path
    worn: Path | None  # by the base, in the reference too

    def order(self, name: str) -> Order:
        of = self.subsets[name], self.keys[name], self.folders[name]
        return Order(name, *of, self.base, self.config, self.run, self.seed, self.worn)


@dataclass
class Ready:
    """What trainings need to know, once the base has looked at everything."""

    processor: Any
    pictures: Pictures
    way: Way
    identity: dict[str, Any]  # of the eyes
    pairs: dict[str, Pairs] = field(default_factory=dict)
    caches: list[VisionCache] = field(default_factory=list)


def train_all(asked: Asked) -> tuple[dict[str, Adapter], dict[str, Any]]:
    """The adapters, on every rank, and figures for the ledger."""
    models.release()
    processor = _processor(asked)
    model = _base(asked)
    ready = _looked_at(asked, model, processor)
    reference = _refer(asked, model, ready)
    del model
    _forget()
    adapters, steps = {}, 0
    for name in asked.subsets:
        order, pairs = asked.order(name), ready.pairs[name]
        make = partial(_trainer, asked, order, ready)
        made, taken = trl_training.train(order, make, rows=len(pairs), left_out=pairs.left_out)
        adapters[name] = asked.run.from_main(made)
        steps += taken
        _forget()
    if asked.run.is_main:
        reference.remove()
    return adapters, {
        "steps": steps,
        "features": ready.way.not_seen_once or "kept",
        "prompts": ready.way.not_shared or "shared by a pair",
        "images_encoded_again": sum(asked.run.gathered([sum(cache.encoded_again for cache in ready.caches)])),
        "dtype": "4 bits" if asked.config.load_in_4bit else str(training_dtype()).removeprefix("torch."),
    }


def _processor(asked: Asked) -> Any:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(asked.config.base_model, revision=asked.base.revision)
    turns.refuse_unfit(processor, asked.base)
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token  # as TRL does
    return processor


def _base(asked: Asked) -> Any:
    """With TRL's fused head: log-probabilities without all the logits."""
    from trl.trainer.utils import add_fused_lm_head

    model = chat_base.load(asked.config, asked.base, asked.worn, in_4bit=asked.config.load_in_4bit)
    model.eval()
    add_fused_lm_head(model)
    return model


def _looked_at(asked: Asked, model: Any, processor: Any) -> Ready:
    """Rows that can be learnt from, the way of training that the model lets, and features of pictures."""
    config, run = asked.config, asked.run
    pictures = Pictures("image")
    with run.stage("encode images") as entry:
        control = control_tokens(processor.tokenizer)
        pairs = {name: read(rows, pictures, control) for name, rows in asked.subsets.items()}
        asked_of = _first_readable(pairs, pictures)
        way = Way("no picture", "no picture")
        if asked_of is not None:
            way = run.from_main(_way(asked, model, processor, pictures, *asked_of) if run.is_main else None)
        ready, cache, known = Ready(processor, pictures, way, {}), None, frozenset()
        if way.seen_once:
            eyes = Eyes(model, processor, pictures, config.max_pixels)
            ready.identity |= run.from_main(eyes.identity() | {"code": source_code(Eyes)} if run.is_main else None)
            cache = _cache(asked, ready, eyes)
            known = run.from_main(frozenset(cache.kept))  # what was seen before can be read
        mine = [digest for digest in pictures.where if digest not in known][run.rank :: run.ranks]
        unreadable = dict(pair for some in run.gathered([pictures.unreadable(mine)]) for pair in some.items())
        ready.pairs |= {name: some.without(unreadable) for name, some in pairs.items()}
        for name, some in ready.pairs.items():
            tell(asked.order(name), some.left_out, len(some))
        wanted = [digest for digest in pictures.where if digest not in unreadable]
        entry |= {"rows": len(wanted), "images": len(wanted), "images_cached": 0, "images_encoded": 0}
        if cache is not None:
            entry["images_encoded"] = sum(run.gathered([cache.fill(wanted, run)]))
            entry["images_cached"] = len(cache.kept & set(wanted))
            entry["cache_bytes"] = cache.bytes
            cache.close()
        entry["images_encoded_at_every_use"] = left = len(wanted) - entry["images_cached"]
    if left and config.features_gb and way.seen_once:
        run.say(
            f"train: features_gb {config.features_gb:g} holds {len(wanted) - left} of {len(wanted)} images; the others "
            "are encoded again at every use"
        )
    return ready


def _first_readable(pairs: dict[str, Pairs], pictures: Pictures) -> tuple[Pairs, int] | None:
    for some in pairs.values():
        for number, digest in enumerate(some.pictures):
            if not pictures.unreadable([digest]):
                return some, number
    return None


def _way(asked: Asked, model: Any, processor: Any, pictures: Pictures, pairs: Pairs, number: int) -> Way:
    way = way_of(model, processor, pictures, pairs, number, asked.config.max_pixels)
    if not way.seen_once:
        asked.run.say(f"train: pictures are encoded in every step: {way.not_seen_once}")
    elif not way.shares:
        asked.run.say(f"train: a prompt is read for each of its replies: {way.not_shared}")
    return way


def _cache(asked: Asked, ready: Ready, eyes: Eyes) -> VisionCache:
    cache = VisionCache(eyes.seen, asked.features, gigabytes=asked.config.features_gb, identity=ready.identity)
    ready.caches.append(cache)
    return cache


def _batches(asked: Asked, ready: Ready, name: str, eyes: Eyes | None, cache: VisionCache | None) -> Batches:
    def written(digest: str) -> str:
        return cache.told(digest) if digest in cache.kept else eyes.written(digest)

    return Batches(
        ready.pairs[name],
        ready.processor,
        written if eyes is not None else None,
        ready.way.shares,
        asked.config.max_pixels,
    )


def _refer(asked: Asked, model: Any, ready: Ready) -> Reference:
    """Log-probabilities of all replies by the base and what it wears, computed once for the adapters of this call."""
    config, run = asked.config, asked.run
    identity = {
        "base": [asked.base.repo_id, asked.base.revision],
        "worn": weights_hash(asked.worn),
        "in_4bit": config.load_in_4bit,
        "max_pixels": config.max_pixels,
        "dtype": str(training_dtype()),
        "code": source_code(RepliesScored),
    }
    reference = Reference(run.output_dir / "training", identity)
    with run.stage("reference log-probabilities") as entry:
        eyes = Eyes(model, ready.processor, ready.pictures, config.max_pixels) if ready.way.seen_once else None
        cache = None if eyes is None else _cache(asked, ready, eyes)
        batches = {name: _batches(asked, ready, name, eyes, cache) for name in ready.pairs}
        rows = config.train_batch_size // run.ranks
        entry |= reference.fill(ready.pairs, RepliesScored(model, batches, eyes, cache, rows), run, rows=rows)
        entry["rows"] = entry["replies_different"]
        if cache is not None:
            cache.close()
    for pairs in ready.pairs.values():
        pairs.reference = reference.of(pairs)
    return reference


def _trainer(asked: Asked, order: Order, ready: Ready, parts: int) -> Any:
    from datasets import Dataset
    from trl import DPOConfig

    config, pairs = order.config, ready.pairs[order.name]
    model = _base(asked)
    sight = eyes = cache = None
    if ready.way.seen_once:
        eyes = Eyes(model, ready.processor, ready.pictures, config.max_pixels)
        cache = _cache(asked, ready, eyes)
        sight = Sight(eyes, cache, pairs.pictures)
    return PairTrainer(
        model,
        args=DPOConfig(**arguments(order, parts), beta=config.beta, disable_dropout=not config.lora_dropout),
        # TRL knows rows about pictures by this column: here it holds the number of a pair.
        train_dataset=Dataset.from_dict({"image": list(range(len(pairs)))}),
        data_collator=_batches(asked, ready, order.name, eyes, cache),
        processing_class=ready.processor,
        peft_config=lora(config, model),
        callbacks=[Clock(order)],
        sight=sight,
    )


def _forget() -> None:
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
