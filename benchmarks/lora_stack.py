"""How much faster do sixteen adapters train in one stack than one after another, with the same code, in one run?

    python benchmarks/lora_stack.py

tiny/sd (--shape sd15 on a GPU), batch 1, rank 16, every linear layer and 1x1 convolution of the transformer blocks.
Beside the two ways stands a third: PEFT's own layer, which takes `adapter_names` in training and loops over the
adapters in Python (the model around it refuses; a hook hands them to the layers). All three take the same steps: same
images, noise and beginnings. The floor is the frozen model alone, forward and back to its inputs, for one sample and
for sixteen.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import Spent, anonymous_bytes, gpu, peak_anonymous, report
from sd15 import pictures, save_model
from torch import nn

import tamis.tiny
from tamis.run import Run
from tamis.training.checkpoints import Checkpoint
from tamis.training.diffusion_lora import DiffusionLora
from tamis.training.diffusion_models import DiffusionModel, load
from tamis.training.examples import Columns, Examples, encode, encode_texts
from tamis.training.objective import draws, target
from tamis.training.stack_training import StackTraining, order_of

SIDES = {"tiny": 64, "sd15": 512}
BASE = Path(tamis.tiny.__file__).parent / "weights" / "sd"
Weights = dict[str, torch.Tensor]


class Bench:
    """The adapters to train, and the ways to train them."""

    def __init__(self, shape: str, adapters: int, steps: int, folder: Path) -> None:
        self.names = [f"adapter-{number}" for number in range(adapters)]
        self.steps = steps
        self.folder = folder
        self.base = str(BASE)
        if shape == "sd15":
            self.base = str(folder / "model")
            save_model(folder / "model")
        side = SIDES[shape]
        self.config = DiffusionLora(base_model=self.base, resolution=side)
        run = Run(folder / "run")
        subsets = {name: pictures(3, first=3 * place, side=side) for place, name in enumerate(self.names)}
        columns = Columns("image", None, {name: f"a photo of a {name}" for name in self.names})
        self.model: DiffusionModel = load(self.base, "")
        self.examples: Examples = encode(subsets, columns, self.model, run, resolution=side, shapes=True)
        self.model.bring(*self.model.text_encoders.values())
        encode_texts(self.examples, self.model)
        self.model.bring(self.model.unet)

    def train(self, names: list[str], weights: Weights) -> Spent:
        training = StackTraining(
            names, self.steps, model=self.model, examples=self.examples, config=self.config, seed=0, say=print
        )
        began = Spent.now()
        training.train(Checkpoint(self.folder / "stack.pt", [], self.steps), progress=lambda loss: None)
        spent = Spent.since(began)
        weights |= {name: training.stack.weights[place].detach().clone() for place, name in enumerate(names)}
        return spent

    def stacked(self, weights: Weights) -> Spent:
        return self.train(self.names, weights)

    def one_by_one(self, weights: Weights) -> Spent:
        each = [self.train([name], weights) for name in self.names]
        return Spent(sum(one.wall for one in each), sum(one.processor for one in each))

    def by_peft(self, weights: Weights) -> Spent:
        """What a user of PEFT would write, once past the refusal."""
        from peft import LoraConfig
        from peft.tuners.lora import LoraLayer

        fresh = StackTraining(
            self.names, self.steps, model=self.model, examples=self.examples, config=self.config, seed=0, say=print
        )
        unet = load(self.base, "").unet.to(self.model.device)
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
        began = Spent.now()
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
            device = self.model.device
            latents, noise, timesteps, text = (one.to(device) for one in (latents, noise, timesteps, text))
            with self.model.mixed():
                noisy = schedule.add_noise(latents, noise, timesteps).to(self.model.dtype)
                predicted = unet(noisy, timesteps, text.to(self.model.dtype)).sample.float()
            wanted = target(schedule, latents, noise, timesteps)
            (predicted - wanted).square().flatten(1).mean(1).sum().backward()
            for part in own:
                nn.utils.clip_grad_norm_(part, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        spent = Spent.since(began)
        weights |= {
            name: torch.cat([one.detach().flatten() for one in part])
            for name, part in zip(self.names, own, strict=True)
        }
        return spent

    def floor(self, samples: int) -> Spent:
        """Time of the frozen model, forward and back to its inputs: what no way of holding adapters can save."""
        like = {"device": self.model.device, "dtype": self.model.dtype}
        shape = next(iter(self.examples.latents.values())).mean.shape
        latents = torch.randn(samples, *shape, **like).requires_grad_()
        words = next(iter(self.examples.texts.values())).embedding.shape
        text = torch.randn(samples, *words, **like).requires_grad_()
        timesteps = torch.randint(0, 1000, (samples,), device=self.model.device)
        spent = []
        for _ in range(10):
            began = Spent.now()
            loss = self.model.unet(latents, timesteps, text).sample.square().mean()
            torch.autograd.grad(loss, [latents, text])
            spent.append(Spent.since(began))
        return sorted(spent)[len(spent) // 2]


def peaks(ways: dict[str, Callable[[Weights], Spent]]) -> dict[str, int]:
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
    parser.add_argument(
        "--shape", choices=sorted(SIDES), default="tiny", help="sd15: Stable Diffusion 1.5's, for a GPU"
    )
    parser.add_argument("--adapters", type=int, default=16)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(given.shape, given.adapters, given.steps, Path(name))
        ways: dict[str, Callable[[Weights], Spent]] = {
            "one after another": bench.one_by_one,
            "stack": bench.stacked,
            "PEFT's layer with adapter_names": bench.by_peft,
        }
        weights: dict[str, Weights] = {way: {} for way in ways}
        memory = peaks(ways)  # and everything is warm after it
        spent: dict[str, list[Spent]] = {way: [] for way in ways}
        floors: dict[int, list[Spent]] = {1: [], given.adapters: []}
        for _ in range(given.runs):
            for way, train in ways.items():
                spent[way].append(train(weights[way]))
            for samples, found in floors.items():
                found.append(bench.floor(samples))
            print({way: found[-1] for way, found in spent.items()}, file=sys.stderr, flush=True)
    begun = StackTraining(
        bench.names, 1, model=bench.model, examples=bench.examples, config=bench.config, seed=0, say=print
    ).stack.weights.detach()

    def ratio(way: str, clock: str) -> dict[str, float]:
        each = [
            getattr(peer, clock) / getattr(own, clock) for peer, own in zip(spent[way], spent["stack"], strict=True)
        ]
        return {"median": round(statistics.median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}

    def apart(way: str) -> float:
        """The furthest an adapter is from the stack's, as a share of how far it went."""
        return max(
            float((weights[way][name] - mine).norm() / (mine - begun[place]).norm())
            for place, (name, mine) in enumerate(weights["stack"].items())
        )

    def middle(found: list[Spent], clock: str) -> float:
        return statistics.median(getattr(one, clock) for one in found)

    peers = [way for way in ways if way != "stack"]
    report(
        f"lora_stack{'' if given.shape == 'tiny' else '_' + given.shape}" + ("_gpu" if gpu() else ""),
        {
            "model": f"{given.shape}, {SIDES[given.shape]} px, {bench.model.dtype}; rank 16, transformer blocks",
            "adapters": given.adapters,
            "steps": given.steps,
            "runs": given.runs,
            "threads": given.threads,
            "load_of_the_machine": round(os.getloadavg()[0], 1),
            "adapter_steps_per_second": {
                way: round(given.adapters * given.steps / middle(found, "wall"), 1) for way, found in spent.items()
            },
            "times_as_fast_as": {way: ratio(way, "wall") for way in peers},
            "times_as_little_processor_time_as": {way: ratio(way, "processor") for way in peers},
            "share_of_its_way_an_adapter_is_off": {way: apart(way) for way in peers},
            "peak_megabytes": memory,
            "floor_processor_milliseconds_of_the_frozen_model": {
                str(samples): round(middle(found, "processor") * 1e3, 1) for samples, found in floors.items()
            },
            "times_as_little_for_the_frozen_model_alone": round(
                given.adapters * middle(floors[1], "processor") / middle(floors[given.adapters], "processor"), 2
            ),
        },
    )


if __name__ == "__main__":
    main()
