"""How fast is a LoRA of BLIP trained on cached features, against the same loop without; and on a base in 8 bits?

    OMP_WAIT_POLICY=passive python benchmarks/vqa_training.py

A model of the shape of Salesforce/blip-vqa-base with random weights, pictures of 384 pixels, five questions each, one
epoch of batches of 8, rank 16 on query, value and out, two threads. Both loops are this project's, with one order and
one dropout: one encodes each picture once, before the first step, and reads it from a mapped file (its encoding counts
as part of the epoch); the other encodes the distinct pictures of every batch. Losses are compared step by step. Times
are of the processor, both threads together, so that other work on the machine hardly counts, if threads that wait do
not spin (OMP_WAIT_POLICY); the clock stands beside.

Then a few steps of the cached loop on the base as it is and in 8 bits: rows an hour, and memory. Each has a process of
its own, so that neither counts what the other left.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from measuring import Spent, peak_anonymous, report
from sd15 import pictures
from vqa_answering import QUESTIONS, build

from tamis.run import Run
from tamis.training.checkpoints import Checkpoint
from tamis.training.lora_shapes import LoraShape
from tamis.training.pictures import Pictures
from tamis.training.vision_cache import VisionCache
from tamis.training.vqa_lora import VqaLora
from tamis.training.vqa_model import VqaModel, load
from tamis.training.vqa_rows import Columns, Rows, learnable, read
from tamis.training.vqa_sweep import as_seen
from tamis.training.vqa_training import VqaTraining

SHAPE, SIDE = "r16-query-value-out", 256
ANSWERS = ("red", "wood", "four", "kitchen", "plain")


@dataclass(frozen=True)
class Epoch:
    encoding: Spent
    steps: Spent
    losses: list[float]

    def all_of(self, clock: str) -> float:
        return getattr(self.encoding, clock) + getattr(self.steps, clock)


class Bench:
    def __init__(self, folder: Path, shown: int, steps: int, *, in_8bit: bool = False) -> None:
        self.folder = folder
        self.config = VqaLora(base_model=str(folder / "model"), max_train_steps=steps, checkpoint_seconds=3600.0)
        self.model: VqaModel = load(self.config.base_model, "", in_8bit=in_8bit)
        rows = pictures(shown, first=0, side=SIDE)
        rows = rows.select([number for number in range(shown) for _ in QUESTIONS])
        rows = rows.add_column("question", list(QUESTIONS) * shown).add_column("answer", list(ANSWERS) * shown)
        self.pictures = Pictures("image")
        columns = Columns("image", "question", "answer", None)
        self.rows: Rows = learnable(*read(rows, columns, self.pictures), {}, self.model, self.config)
        self.steps = self.config.max_train_steps

    def epoch(self, run: Run, *, gigabytes: float) -> Epoch:
        with TemporaryDirectory(dir=self.folder) as name:
            began = Spent.now()
            digests = list(self.pictures.where)
            encode = partial(as_seen, self.model, self.pictures)
            cache = VisionCache(encode, Path(name), gigabytes=gigabytes, identity={})
            cache.fill(digests, run)
            encoding, began = Spent.since(began), Spent.now()
            training = VqaTraining(
                "a",
                self.rows,
                LoraShape.parse(SHAPE),
                self.steps,
                model=self.model,
                cache=cache,
                config=self.config,
                seed=0,
                say=print,
            )
            training.train(Checkpoint(Path(name) / "a.pt", [], self.steps), progress=lambda loss: None)
            training.taken_off()
            cache.close()
            return Epoch(encoding, Spent.since(began), training.losses.tolist())


def one_base(folder: Path, in_8bit: bool, steps: int) -> dict[str, Any]:
    """In a process of its own."""
    bench = Bench(folder, 4, steps, in_8bit=in_8bit)
    with peak_anonymous() as peak:  # of training: loading has both forms of the weights for a while
        epoch = bench.epoch(Run(folder / f"run-{in_8bit}"), gigabytes=1.0)
    rows = 8 * steps
    return {
        "weights_bytes": bench.model.blip.get_memory_footprint(),
        "linear_bytes": sum(
            tensor.numel() * tensor.element_size()
            for path, layer in bench.model.blip.named_modules()
            if isinstance(layer, torch.nn.Linear) and not path.endswith("predictions.decoder")  # tied to embeddings
            for tensor in layer.state_dict().values()
            if isinstance(tensor, torch.Tensor)
        ),
        "peak_anonymous_bytes": peak[0],
        "rows_per_hour": round(3600 * rows / epoch.steps.wall),
        "processor_seconds_a_row": round(epoch.steps.processor / rows, 3),
        "seconds_to_encode_a_picture": round(epoch.encoding.processor / 4, 3),
        "losses": epoch.losses,
    }


def cached_or_not(folder: Path, shown: int, runs: int) -> dict[str, Any]:
    bench = Bench(folder, shown, -(-shown * len(QUESTIONS) // 8))
    run, turns = Run(folder / "run"), []
    for _ in range(runs):
        cached, plain = bench.epoch(run, gigabytes=1.0), bench.epoch(run, gigabytes=0.0)
        turns.append((cached, plain))
        print(cached, plain, file=sys.stderr, flush=True)
    run.close()

    def ratios(of: Any) -> dict[str, float]:
        each = [of(plain) / of(cached) for cached, plain in turns]
        return {"median": round(statistics.median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}

    def median(of: Any) -> float:
        return round(statistics.median(of(cached) for cached, _ in turns), 2)

    return {
        "pictures": shown,
        "steps": bench.steps,
        "times_as_little_processor_time": ratios(lambda epoch: epoch.all_of("processor")),
        "times_as_fast_on_the_clock": ratios(lambda epoch: epoch.all_of("wall")),
        "times_as_little_processor_time_a_step": ratios(lambda epoch: epoch.steps.processor),
        "processor_seconds_to_encode": median(lambda epoch: epoch.encoding.processor),
        "processor_seconds_of_steps": median(lambda epoch: epoch.steps.processor),
        "largest_difference_of_losses": max(
            abs(one - other) for cached, plain in turns for one, other in zip(cached.losses, plain.losses, strict=True)
        ),
    }


def in_its_own_process(folder: Path, *, in_8bit: bool, given: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", str(folder), "--threads", str(given.threads)]
    command += ["--steps_on_8bit", str(given.steps_on_8bit), *(["--in_8bit"] if in_8bit else [])]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    return json.loads(said[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--steps_on_8bit", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--in_8bit", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.only:
        print(json.dumps(one_base(given.only, given.in_8bit, given.steps_on_8bit)))
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        build(folder / "model")
        full = in_its_own_process(folder, in_8bit=False, given=given)
        small = in_its_own_process(folder, in_8bit=True, given=given)
        cached = cached_or_not(folder, given.pictures, given.runs)
    report(
        "vqa_training",
        {
            "model": f"blip-vqa-base's shape, random weights, batch 8, {SHAPE}",
            "runs": given.runs,
            "threads": given.threads,
            "cached_against_not": cached,
            "base_in_float32": full,
            "base_in_8bit": small,
            "share_of_float32_weights": round(small["weights_bytes"] / full["weights_bytes"], 3),
            "share_of_float16_linear_layers": round(2 * small["linear_bytes"] / full["linear_bytes"], 3),
        },
    )


if __name__ == "__main__":
    main()
