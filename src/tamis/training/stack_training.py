"""The training loop: a stack of adapters, from its first step or its checkpoint to its last.

A step's images, noise and timesteps follow from (seed, name, step): a step that did not fit the memory, or that a kill
cut off, is repeated exactly.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tamis.training.objective import Draw, draws, errors, preference, target, weights
from tamis.training.order import Order
from tamis.training.stacked_lora import LoraStack, denoiser_targets, text_targets

if TYPE_CHECKING:
    from tamis.training.checkpoints import Checkpoint
    from tamis.training.diffusion_lora import DiffusionLora
    from tamis.training.diffusion_models import DiffusionModel, Text
    from tamis.training.examples import Example, Examples

LOOKED_AT_EVERY = 16  # steps; reading a loss makes the device wait


@dataclass(frozen=True)
class Sample:
    adapter: int  # its place in the stack
    share: float  # an adapter's loss is the mean over its samples of the step
    example: Example
    draw: Draw


class StackTraining:
    """One stack on its way."""

    def __init__(
        self,
        names: list[str],
        steps: int,
        *,
        model: DiffusionModel,
        examples: Examples,
        config: DiffusionLora,
        seed: int,
        say: Callable[[str], None],
        most_samples: int | None = None,  # a forward pass; what a stack before this one had to come down to
    ) -> None:
        from diffusers.optimization import get_scheduler

        self.names = names
        self.steps = steps
        self.model = model
        self.examples = examples
        self.config = config
        self.seed = seed
        self.say = say
        targets = denoiser_targets(model.unet, config.lora_targets)
        if config.train_text_encoder:
            for component, encoder in model.text_encoders.items():
                targets += text_targets(encoder, component, unread=model.family.unread_layers.get(component, 0))
        self.stack = LoraStack(
            names, targets, rank=config.lora_r, alpha=config.lora_alpha, seed=seed, device=model.device
        )
        self.optimizer = torch.optim.AdamW(
            [self.stack.weights], lr=config.learning_rate, weight_decay=config.adam_weight_decay, fused=True
        )
        self.scheduler = get_scheduler(
            config.lr_scheduler, self.optimizer, num_warmup_steps=config.lr_warmup_steps, num_training_steps=steps
        )
        self.orders = [order_of(name, examples, config, seed) for name in names]
        self.losses = torch.zeros(steps, len(names), device=model.device)
        self.step = 0
        self.looked_at = 0
        self.seconds = 0.0  # of all processes that it took
        self.seconds_here = 0.0
        self.samples_seen = 0  # here
        self.halved = most_samples is not None
        self.samples_per_forward = min(config.train_batch_size * len(names), most_samples or sys.maxsize)

    def train(
        self,
        checkpoint: Checkpoint,
        *,
        progress: Callable[[float | None], None],
        sample: Callable[[StackTraining], None] | None = None,
    ) -> None:
        """To the last step. The checkpoint of the last step stays: the adapters are yet to be written."""
        saved = started = time.perf_counter()
        before = self.seconds
        with self.stack.worn():
            while self.step < self.steps:
                self._take_step()
                self.step += 1
                now = time.perf_counter()
                self.seconds_here = now - started
                self.seconds = before + self.seconds_here
                due = now - saved >= self.config.checkpoint_seconds or self.step == self.steps
                sampled = sample is not None and self.step % (self.config.sample_every or self.steps) == 0
                looked = due or sampled or self.step % LOOKED_AT_EVERY == 0
                progress(self._look() if looked else None)
                if due:
                    checkpoint.save(self._state())
                    saved = time.perf_counter()
                if sampled:
                    sample(self)
        if not self.stack.weights.isfinite().all():  # the last step's gradient is in no loss
            broken = (~self.stack.weights.isfinite().all(dim=1)).nonzero().flatten().tolist()
            raise ArithmeticError(f"adapter {self.names[broken[0]]!r}: weights are not finite after step {self.steps}")

    def _take_step(self) -> None:
        from accelerate.utils.memory import should_reduce_batch_size

        done = False
        while not done:
            self.stack.gradients.zero_()
            self.losses[self.step].zero_()
            try:
                for samples in self._forwards():
                    self._learn(samples)
                done = True
            except RuntimeError as error:
                if self.samples_per_forward == 1 or not should_reduce_batch_size(error):
                    raise
            if not done:  # outside of except: the error holds on to what filled the memory
                self._halve()
        if self.config.max_grad_norm is not None:
            self.stack.clip(self.config.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()

    def _halve(self) -> None:
        if not self.halved:
            self.say("train: out of memory; fewer samples a forward pass from here on, added up to the same steps")
        self.halved = True
        self.samples_per_forward //= 2
        gc.collect()
        if self.model.device.type != "cpu":
            torch.accelerator.empty_cache()

    def _forwards(self) -> Iterator[list[Sample]]:
        """The samples of this step as they go through the model: of one shape, adapter by adapter, as many as fit."""
        batches: dict[int, list[Sample]] = defaultdict(list)
        for place, (name, order) in enumerate(zip(self.names, self.orders, strict=True)):
            chosen = order[self.step]
            rows = [self.examples.rows[name][position] for batch in chosen for position in batch]
            shapes = [self.examples.latents[row.image].mean.shape for row in rows]
            drawn = draws(self.seed, name, self.step, shapes, self.model.schedule.config.num_train_timesteps)
            turns = [turn for turn, batch in enumerate(chosen) for _ in batch]
            for turn, row, draw in zip(turns, rows, drawn, strict=True):
                batches[turn].append(Sample(place, 1 / len(rows), row, draw))
        for turn in sorted(batches):
            shaped: dict[torch.Size, list[Sample]] = defaultdict(list)
            for sample in batches[turn]:
                shaped[sample.draw.noise.shape].append(sample)
            for samples in shaped.values():
                for first in range(0, len(samples), self.samples_per_forward):
                    yield samples[first : first + self.samples_per_forward]

    def _learn(self, samples: list[Sample]) -> None:
        """Adds these samples to the gradients and losses of their adapters."""
        device = self.model.device
        share = torch.tensor([sample.share for sample in samples], device=device)
        adapters = torch.tensor([sample.adapter for sample in samples], device=device)
        if self.examples.of_pairs:
            loss = self._preferences(samples) * share
        else:
            found, timesteps = self._errors(samples, [sample.example.image for sample in samples])
            loss = found * share
            if self.config.snr_gamma is not None:
                loss = loss * weights(self.model.schedule, timesteps, self.config.snr_gamma)
        self.stack.learn(loss.sum())
        self.losses[self.step].index_add_(0, adapters, loss.detach())
        self.samples_seen += len(samples)

    def _preferences(self, samples: list[Sample]) -> torch.Tensor:
        """The loss of each pair: both pictures under the same noise, in one forward pass, with and without adapters."""
        twice = [sample for sample in samples for _ in sample.example.images]
        images = [image for sample in samples for image in sample.example.images]
        with torch.no_grad(), self.stack.taken_off():
            without, _ = self._errors(twice, images)
        found, _ = self._errors(twice, images)
        better, worse = found.unflatten(0, (-1, 2)).unbind(1)
        return preference(better, worse, without.unflatten(0, (-1, 2)).unbind(1), self.config.dpo_beta)

    def _errors(self, samples: list[Sample], images: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """How wrong the model is about each image under its sample's chances; and at which timesteps."""
        device, schedule = self.model.device, self.model.schedule
        known = [self.examples.latents[image] for image in images]
        chance = torch.stack([sample.draw.of_latents for sample in samples])
        latents = torch.stack([one.mean for one in known]) + chance * torch.stack([one.deviation for one in known])
        latents, noise = latents.to(device), torch.stack([sample.draw.noise for sample in samples]).to(device)
        timesteps = torch.tensor([sample.draw.timestep for sample in samples], device=device)
        self._seat([sample.adapter for sample in samples])
        with self.model.mixed():
            predicted = self.model.predict(
                schedule.add_noise(latents, noise, timesteps),
                timesteps,
                [self._text(sample.example.caption) for sample in samples],
                [one.sizes for one in known],
            )
        return errors(predicted, target(schedule, latents, noise, timesteps)), timesteps

    def _seat(self, adapters: list[int]) -> None:
        each, over = divmod(len(adapters), len(self.names))
        even = not over and adapters == [place for place in range(len(self.names)) for _ in range(each)]
        self.stack.seats.rows = None if even else torch.tensor(adapters, device=self.model.device)

    def _text(self, caption: str) -> Text:
        if not self.config.train_text_encoder:
            return self.examples.texts[caption]
        self.stack.seats.rows, seats = None, self.stack.seats.rows
        encoded = self.model.text(caption)  # one adapter: its seats are the same for any batch
        self.stack.seats.rows = seats
        return encoded

    def _look(self) -> float:
        """The mean loss since it was last looked at; a loss that is no number ends the run, by adapter and step."""
        seen = self.losses[self.looked_at : self.step].cpu()
        broken = (~seen.isfinite()).nonzero()
        if len(broken):
            step, place = broken[0].tolist()
            raise ArithmeticError(
                f"adapter {self.names[place]!r}: the loss is not finite at step {self.looked_at + step + 1} of "
                f"{self.steps}; a lower learning_rate may help"
            )
        self.looked_at = self.step
        return float(seen.mean())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "weights": self.stack.weights.detach(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "losses": self.losses[: self.step].clone(),
            "seconds": self.seconds,
            "samples_per_forward": self.samples_per_forward,
            "halved": self.halved,
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Goes on from a checkpoint, where there is one: the steps that were taken before."""
        if state is not None:
            self.step = self.looked_at = state["step"]
            with torch.no_grad():
                self.stack.weights.copy_(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            self.losses[: self.step] = state["losses"]
            self.seconds = state["seconds"]
            self.samples_per_forward, self.halved = state["samples_per_forward"], state["halved"]
        return self.step


def order_of(name: str, examples: Examples, config: DiffusionLora, seed: int) -> Order:
    return Order(
        name,
        [tuple(examples.latents[row.image].mean.shape) for row in examples.rows[name]],
        seed=seed,
        repeats=config.num_repeats,
        batch_size=config.train_batch_size,
        accumulated=config.gradient_accumulation_steps,
    )
