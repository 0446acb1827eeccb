"""How much faster do sixteen adapters train in one stack than one after another, with the same code, in one run?

    python benchmarks/lora_stack.py

tiny/sd, batch 1, rank 16, every linear layer and 1x1 convolution of the transformer blocks. Beside the two ways stands
a third: PEFT's own layer, which takes `adapter_names` in training and loops over the adapters in Python (the model
around it refuses; a hook hands them to the layers). All three take the same steps: same images, noise and beginnings.
The floor is the frozen model alone, forward and back to its inputs, for one sample and for sixteen.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Image
from measuring import anonymous_bytes, peak_anonymous, report
from PIL import Image as Pictures
from torch import nn

import tamis.tiny
from tamis.run import Run
from tamis.training.checkpoints import Checkpoint
from tamis.training.diffusion_lora import DiffusionLora
from tamis.training.diffusion_models import DiffusionModel, load
from tamis.training.examples import Columns, Examples, encode, encode_texts
from tamis.training.objective import draws, target
from tamis.training.stack_training import StackTraining, order_of

BASE = Path(tamis.tiny.__file__).parent / "weights" / "sd"
Weights = dict[str, torch.Tensor]


def pictures(count: int, *, first: int, side: int) -> Dataset:
    """Squares of smooth noise; every number is another picture."""
    cells = []
    for number in range(first, first + count):
        few = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Pictures.fromarray(few).resize((side, side)).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    return Dataset.from_dict({"image": cells}, features=Features({"image": Image(decode=False)}))


class Bench:
    """The adapters to train, and the ways to train them."""

    def __init__(self, adapters: int, steps: int, folder: Path) -> None:
        self.names = [f"adapter-{number}" for number in range(adapters)]
        self.steps = steps
        self.folder = folder
        self.config = DiffusionLora(base_model=str(BASE), resolution=64)
        run = Run(folder / "run")
        subsets = {name: pictures(3, first=3 * place, side=64) for place, name in enumerate(self.names)}
        columns = Columns("image", None, {name: f"a photo of a {name}" for name in self.names})
        self.model: DiffusionModel = load(str(BASE), "")
        self.examples: Examples = encode(subsets, columns, self.model, run, resolution=64, shapes=True)
        encode_texts(self.examples, self.model)

    def train(self, names: list[str], weights: Weights) -> float:
        training = StackTraining(
            names, self.steps, model=self.model, examples=self.examples, config=self.config, seed=0, say=print
        )
        started = time.perf_counter()
        training.train(Checkpoint(self.folder / "stack.pt", [], self.steps), progress=lambda loss: None)
        spent = time.perf_counter() - started
        weights |= {name: training.stack.weights[place].detach().clone() for place, name in enumerate(names)}
        return spent

    def stacked(self, weights: Weights) -> float:
        return self.train(self.names, weights)

    def one_by_one(self, weights: Weights) -> float:
        return sum(self.train([name], weights) for name in self.names)

    def by_peft(self, weights: Weights) -> float:
        """What a user of PEFT would write, once past the refusal."""
        from peft import LoraConfig
        from peft.tuners.lora import LoraLayer

        fresh = StackTraining(
            self.names, self.steps, model=self.model, examples=self.examples, config=self.config, seed=0, say=print
        )
        unet = load(str(BASE), "").unet
        paths = [found.path for found in fresh.stack.targets]
        for name in self.names:
            unet.add_adapter(LoraConfig(r=16, lora_alpha=8.0, target_modules=paths), adapter_name=name)
        unet.set_adapters(self.names)
        layers = [module for module in unet.modules() if isinstance(module, LoraLayer)]
        for layer in layers:
            layer.register_forward_pre_hook(
                lambda module, given, more: (given, more | {"adapter_names": self.names}), with_kwargs=True
            )
        own: list[list[nn.Parameter]] = []
        modules = dict(unet.named_modules())
        for place, name in enumerate(self.names):
            own.append([])
            for found, down, up in fresh.stack.matrices(place):
                lora = modules[found.path]
                for begun, matrix in ((lora.lora_A[name].weight, down), (lora.lora_B[name].weight, up)):
                    begun.data.copy_(matrix.view_as(begun))
                    own[-1].append(begun.requires_grad_())
        optimizer = torch.optim.AdamW([one for part in own for one in part], lr=1e-4, weight_decay=1e-2, fused=True)
        orders = [order_of(name, self.examples, self.config, 0) for name in self.names]
        schedule = self.model.schedule
        started = time.perf_counter()
        for step in range(self.steps):
            rows = [self.examples.rows[name][order[step][0][0]] for name, order in zip(self.names, orders, strict=True)]
            known = [self.examples.latents[row.image] for row in rows]
            drawn = [
                draws(0, name, step, [one.mean.shape], 1000)[0] for name, one in zip(self.names, known, strict=True)
            ]
            latents = torch.stack(
                [one.mean + one.deviation * draw.of_latents for one, draw in zip(known, drawn, strict=True)]
            )
            noise = torch.stack([draw.noise for draw in drawn])
            timesteps = torch.tensor([draw.timestep for draw in drawn])
            text = torch.stack([self.examples.texts[row.caption].embedding for row in rows])
            predicted = unet(schedule.add_noise(latents, noise, timesteps), timesteps, text).sample
            wanted = target(schedule, latents, noise, timesteps)
            (predicted - wanted).square().flatten(1).mean(1).sum().backward()
            for part in own:
                nn.utils.clip_grad_norm_(part, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        spent = time.perf_counter() - started
        weights |= {
            name: torch.cat([one.detach().flatten() for one in part])
            for name, part in zip(self.names, own, strict=True)
        }
        return spent

    def floor(self, samples: int) -> float:
        """Seconds of the frozen model, forward and back to its inputs: what no way of holding adapters can save."""
        latents = torch.randn(samples, 4, 16, 16).requires_grad_()
        text = torch.randn(samples, 32, 128).requires_grad_()
        timesteps = torch.randint(0, 1000, (samples,))
        spent = []
        for _ in range(10):
            started = time.perf_counter()
            loss = self.model.unet(latents, timesteps, text).sample.square().mean()
            torch.autograd.grad(loss, [latents, text])
            spent.append(time.perf_counter() - started)
        return statistics.median(spent)


def peaks(ways: dict[str, Callable[[Weights], float]]) -> dict[str, int]:
    """MB beyond what is held before any of them; the modest first: what one way took, the next finds free."""
    held = anonymous_bytes()
    found = {}
    for way, train in ways.items():
        with peak_anonymous() as highest:
            train({})
        found[way] = round((highest[0] - held) / 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=16)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(given.adapters, given.steps, Path(name))
        ways: dict[str, Callable[[Weights], float]] = {
            "one after another": bench.one_by_one,
            "stack": bench.stacked,
            "PEFT's layer with adapter_names": bench.by_peft,
        }
        weights: dict[str, Weights] = {way: {} for way in ways}
        memory = peaks(ways)  # and everything is warm after it
        seconds: dict[str, list[float]] = {}
        floors: dict[int, list[float]] = {1: [], given.adapters: []}
        for _ in range(given.runs):
            for way, train in ways.items():
                seconds.setdefault(way, []).append(train(weights[way]))
            for samples, spent in floors.items():
                spent.append(bench.floor(samples))
            print({way: round(spent[-1], 2) for way, spent in seconds.items()}, file=sys.stderr, flush=True)
    begun = StackTraining(
        bench.names, 1, model=bench.model, examples=bench.examples, config=bench.config, seed=0, say=print
    ).stack.weights.detach()

    def ratio(way: str) -> dict[str, float]:
        each = [peer / own for peer, own in zip(seconds[way], seconds["stack"], strict=True)]
        return {"median": round(statistics.median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}

    def apart(way: str) -> float:
        """The furthest an adapter is from the stack's, as a share of how far it went."""
        return max(
            float((weights[way][name] - mine).norm() / (mine - begun[place]).norm())
            for place, (name, mine) in enumerate(weights["stack"].items())
        )

    floor = {str(samples): round(statistics.median(spent) * 1e3, 1) for samples, spent in floors.items()}
    report(
        "lora_stack",
        {
            "model": "tiny/sd, 64 px, float32; rank 16, all layers of the transformer blocks",
            "adapters": given.adapters,
            "steps": given.steps,
            "runs": given.runs,
            "adapter_steps_per_second": {
                way: round(given.adapters * given.steps / statistics.median(spent), 1) for way, spent in seconds.items()
            },
            "times_as_fast_as": {way: ratio(way) for way in ways if way != "stack"},
            "share_of_its_way_an_adapter_is_off": {way: apart(way) for way in ways if way != "stack"},
            "peak_megabytes": memory,
            "floor_milliseconds_of_the_frozen_model": floor,
            "most_a_stack_could_gain_were_adapters_free": round(
                given.adapters * statistics.median(floors[1]) / statistics.median(floors[given.adapters]), 2
            ),
        },
    )


if __name__ == "__main__":
    main()
