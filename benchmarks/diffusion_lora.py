"""How fast is one LoRA, against diffusers' own example script, with one model, same steps, in one run?

    python benchmarks/diffusion_lora.py --diffusers_script PATH/TO/train_text_to_image_lora.py

Stable Diffusion 1.5 by shape (860 million parameters), with random weights: timing does not need trained ones. Batch 1,
256 pixels, rank 16 on to_q, to_k, to_v, to_out: what the script adapts; float32, on a GPU bfloat16. The script runs as
it is, in a process of its own; its chances are steered so that both take the same steps, and losses can be held against
each other. It encodes image and caption at every step, and clips over an exhausted iterator, that is never; here
clipping is off too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measuring import Spent, gpu, report
from sd15 import pictures, save_model

from tamis.run import Run
from tamis.training.checkpoints import Checkpoint
from tamis.training.diffusion_lora import DiffusionLora
from tamis.training.diffusion_models import DiffusionModel, load
from tamis.training.examples import Columns, Examples, encode, encode_texts
from tamis.training.objective import draws
from tamis.training.stack_training import StackTraining, order_of

PEER = Path(__file__).parent / "peers" / "diffusers_lora.py"
CAPTION = "a photo of a red star"
LEARNING_RATE, RANK = 1e-4, 16


class Bench:
    """One training of few steps, by either."""

    def __init__(self, folder: Path, side: int, steps: int) -> None:
        self.folder, self.side, self.steps = folder, side, steps
        save_model(folder / "model")
        self.config = DiffusionLora(
            base_model=str(folder / "model"),
            resolution=side,
            lora_r=RANK,
            lora_alpha=RANK,
            lora_targets="attention",
            learning_rate=LEARNING_RATE,
            max_grad_norm=None,
        )
        rows = pictures(3, first=0, side=side)
        self.model: DiffusionModel = load(str(folder / "model"), "")
        started = time.perf_counter()
        columns = Columns("image", None, {"a": CAPTION})
        self.examples: Examples = encode(
            {"a": rows}, columns, self.model, Run(folder / "run"), resolution=side, shapes=True
        )
        encode_texts(self.examples, self.model)
        self.seconds_to_encode_once = (time.perf_counter() - started) / len(rows)
        images = folder / "images"
        images.mkdir()
        with (images / "metadata.jsonl").open("w") as lines:
            for number, row in enumerate(rows):
                (images / f"{number}.png").write_bytes(row["image"]["bytes"])
                lines.write(json.dumps({"file_name": f"{number}.png", "text": CAPTION}) + "\n")
        self._tell()

    def ours(self) -> tuple[Spent, list[float]]:
        """A step's time, the first left out, and losses."""
        training = self._training()
        moments: list[Spent] = []
        training.train(
            Checkpoint(self.folder / "stack.pt", [], self.steps),
            progress=lambda loss: moments.append(Spent.now()),
        )
        return _step(moments), training.losses[:, 0].tolist()

    def theirs(self, script: Path) -> tuple[Spent, list[float]]:
        ran = subprocess.run(
            [sys.executable, PEER, script, self.folder / "told.pt"],
            stdout=subprocess.PIPE,
            env=os.environ | {"HF_HUB_OFFLINE": "1"} | ({} if gpu() else {"ACCELERATE_USE_CPU": "true"}),
            check=True,
        )
        found = json.loads(ran.stdout)
        return _step([Spent(*moment) for moment in found["moments"]]), found["losses"]

    def _training(self) -> StackTraining:
        return StackTraining(
            ["a"], self.steps, model=self.model, examples=self.examples, config=self.config, seed=0, say=print
        )

    def _tell(self) -> None:
        """What the peer needs to take the same steps."""
        order = order_of("a", self.examples, self.config, 0)
        chosen = [order[step][0][0] for step in range(self.steps)]
        shapes = [self.examples.latents[self.examples.rows["a"][place].image].mean.shape for place in chosen]
        drawn = [draws(0, "a", step, [shape], 1000)[0] for step, shape in enumerate(shapes)]
        begun: dict[str, torch.Tensor] = {}
        for target, down, up in self._training().stack.matrices(0):
            begun |= {f"{target.path}.lora_A.weight": down.clone(), f"{target.path}.lora_B.weight": up.clone()}
        arguments: dict[str, Any] = {
            "pretrained_model_name_or_path": self.folder / "model",
            "train_data_dir": self.folder / "images",
            "cache_dir": self.folder / "cache",
            "output_dir": self.folder / "theirs",
            "caption_column": "text",
            "image_column": "image",
            "resolution": self.side,
            "rank": RANK,
            "train_batch_size": 1,
            "max_train_steps": self.steps,
            "learning_rate": LEARNING_RATE,
            "adam_weight_decay": self.config.adam_weight_decay,
            "mixed_precision": "bf16" if gpu() else "no",  # as ours
            "checkpointing_steps": 1_000_000,
        }
        told = {
            "threads": torch.get_num_threads(),
            "order": chosen,
            "noise": [draw.noise[None] for draw in drawn],
            "of_latents": [draw.of_latents[None] for draw in drawn],
            "timesteps": [torch.tensor([draw.timestep]) for draw in drawn],
            "begun": begun,
            "arguments": ["--center_crop", *(f"--{name}={value}" for name, value in arguments.items())],
        }
        torch.save(told, self.folder / "told.pt")


def _step(moments: list[Spent]) -> Spent:
    """The median of what lies between two moments."""
    pairs = list(zip(moments, moments[1:], strict=False))
    return Spent(
        statistics.median(later.wall - earlier.wall for earlier, later in pairs),
        statistics.median(later.processor - earlier.processor for earlier, later in pairs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--diffusers_script",
        type=Path,
        help="train_text_to_image_lora.py of diffusers; not given: only our own speed is told",
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    ours: list[Spent] = []
    theirs: list[Spent] = []
    off = 0.0
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), given.side, given.steps)
        for _ in range(given.runs):
            step, losses = bench.ours()
            ours.append(step)
            if given.diffusers_script:
                step, wanted = bench.theirs(given.diffusers_script)
                theirs.append(step)
                off = max(off, *(abs(a - b) / b for a, b in zip(losses, wanted, strict=True)))
            print({"ours": ours[-1], "theirs": theirs[-1:]}, file=sys.stderr, flush=True)

    def ratio(clock: str) -> dict[str, float] | str:
        if not theirs:
            return "not run: no --diffusers_script"
        each = [getattr(peer, clock) / getattr(own, clock) for peer, own in zip(theirs, ours, strict=True)]
        return {"median": round(statistics.median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}

    def seconds(steps: list[Spent]) -> dict[str, float] | None:
        if not steps:
            return None
        return {clock: round(statistics.median(getattr(step, clock) for step in steps), 3) for clock in Spent._fields}

    report(
        "diffusion_lora" + ("_gpu" if gpu() else ""),
        {
            "model": f"Stable Diffusion 1.5 by shape, random weights, {given.side} px, batch 1, rank {RANK}",
            "dtype": str(bench.model.dtype),
            "runs": given.runs,
            "steps_timed_a_run": given.steps - 1,
            "threads": given.threads,
            "load_of_the_machine": round(os.getloadavg()[0], 1),
            "seconds_a_step": seconds(ours),
            "seconds_a_step_of_diffusers": seconds(theirs),
            "seconds_once_an_image": round(bench.seconds_to_encode_once, 3),
            "times_as_fast_as_diffusers": ratio("wall"),
            "times_as_little_processor_time_as_diffusers": ratio("processor"),
            "largest_relative_difference_of_losses": off if theirs else None,
        },
    )


if __name__ == "__main__":
    main()
