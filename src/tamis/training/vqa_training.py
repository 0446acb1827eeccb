"""The training loop of one LoRA of BLIP, from its first step or its checkpoint to its last.

A step's rows, and what dropout drops in it, follow from (seed, step): a step that a kill cut off is repeated exactly.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tamis.seeds import seed_of
from tamis.training.order import Order

if TYPE_CHECKING:
    from tamis.training.checkpoints import Checkpoint
    from tamis.training.lora_shapes import LoraShape
    from tamis.training.vision_cache import VisionCache
    from tamis.training.vqa_lora import VqaLora
    from tamis.training.vqa_model import VqaModel
    from tamis.training.vqa_rows import Example, Rows

LOOKED_AT_EVERY = 16  # steps; reading a loss makes the device wait


class VqaTraining:
    """One adapter on its way, worn by the model until taken_off()."""

    def __init__(
        self,
        name: str,
        rows: Rows,
        shape: LoraShape,
        steps: int,
        *,
        model: VqaModel,
        cache: VisionCache,
        config: VqaLora,
        seed: int,
        say: Callable[[str], None],
        most_rows: int | None = None,  # a forward pass; what an adapter before this one had to come down to
    ) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import get_scheduler

        self.name = name
        self.rows = rows
        self.steps = steps
        self.model = model
        self.cache = cache
        self.config = config
        self.seed = seed
        self.say = say
        with self._chances("lora"):
            self.worn = get_peft_model(
                model.blip,
                LoraConfig(
                    r=shape.r,
                    lora_alpha=config.lora_alpha,
                    lora_dropout=config.lora_dropout,
                    target_modules=shape.layers(model.blip),
                ),
            )
        if config.gradient_checkpointing:
            model.blip.activation_checkpointing_enable({"use_reentrant": False})
            model.blip.disable_input_require_grads()  # BLIP adds to its embeddings in place: they cannot have any
        self.weights = [weight for weight in self.worn.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=config.learning_rate, weight_decay=config.adam_weight_decay, fused=True
        )
        self.scheduler = get_scheduler(
            config.lr_scheduler,
            self.optimizer,
            num_warmup_steps=math.ceil(config.lr_warmup_ratio * steps),
            num_training_steps=steps,
        )
        self.order = order_of(len(rows.examples), config, seed)
        self.losses = torch.zeros(steps, device=model.device)
        self.step = 0
        self.looked_at = 0
        self.seconds = 0.0  # of all processes that it took
        self.rows_seen = 0  # likewise
        self.seconds_here = 0.0
        self.rows_seen_here = 0
        self.halved = most_rows is not None
        self.rows_per_forward = min(config.train_batch_size, most_rows or config.train_batch_size)

    def train(self, checkpoint: Checkpoint, *, progress: Callable[[float | None], None]) -> None:
        """To the last step. The checkpoint of the last step stays: the adapter is yet to be written."""
        saved = started = time.perf_counter()
        before = self.seconds
        self.worn.train()
        self.model.blip.vision_model.eval()
        while self.step < self.steps:
            self._take_step()
            self.step += 1
            now = time.perf_counter()
            self.seconds_here = now - started
            self.seconds = before + self.seconds_here
            due = now - saved >= self.config.checkpoint_seconds or self.step == self.steps
            progress(self._look() if due or self.step % LOOKED_AT_EVERY == 0 else None)
            if due:
                checkpoint.save(self._state())
                saved = time.perf_counter()
        self.worn.eval()
        if not all(weight.isfinite().all() for weight in self.weights):  # the last step's gradient is in no loss
            raise ArithmeticError(f"adapter {self.name!r}: weights are not finite after step {self.steps}")

    def taken_off(self) -> None:
        """The model is as it was."""
        self.model.blip.activation_checkpointing_disable()
        self.worn.unload()

    def _take_step(self) -> None:
        from accelerate.utils.memory import should_reduce_batch_size

        batches = [[self.rows.examples[position] for position in batch] for batch in self.order[self.step]]
        done = False
        while not done:
            self.optimizer.zero_grad()
            self.losses[self.step].zero_()
            try:
                with self._chances("step", self.step):
                    for some in self._forwards(batches):
                        self._learn(some, sum(map(len, batches)))
                done = True
            except RuntimeError as error:
                if self.rows_per_forward == 1 or not should_reduce_batch_size(error):
                    raise
            if not done:  # outside of except: the error holds on to what filled the memory
                self._halve()
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.rows_seen += sum(map(len, batches))
        self.rows_seen_here += sum(map(len, batches))

    def _halve(self) -> None:
        if not self.halved:
            self.say("train: out of memory; fewer rows a forward pass from here on, added up to the same steps")
        self.halved = True
        self.rows_per_forward //= 2
        gc.collect()
        if self.model.device.type != "cpu":
            torch.accelerator.empty_cache()

    def _forwards(self, batches: list[list[Example]]) -> Iterator[list[Example]]:
        for batch in batches:
            for first in range(0, len(batch), self.rows_per_forward):
                yield batch[first : first + self.rows_per_forward]

    def _learn(self, some: list[Example], of: int) -> None:
        """Adds these rows to the gradients and to the loss of the step: its mean over all of its rows."""
        device = self.model.device
        seen = self.cache.features([row.image for row in some])
        seen = torch.stack([one.to(device, non_blocking=True) for one in seen])
        found = self.model.losses(seen, [row.question for row in some], [row.answer for row in some])
        loss = found.sum() / of
        loss.backward()
        self.losses[self.step] += loss.detach()

    @contextmanager
    def _chances(self, *what: object) -> Iterator[None]:
        """This purpose's own, on every device; those of the rest of the process are as before."""
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed_of(*what, self.seed))
            yield

    def _look(self) -> float:
        """The mean loss since it was last looked at; a loss that is no number ends the run."""
        seen = self.losses[self.looked_at : self.step].cpu()
        broken = (~seen.isfinite()).nonzero().flatten().tolist()
        if broken:
            raise ArithmeticError(
                f"adapter {self.name!r}: the loss is not finite at step {self.looked_at + broken[0] + 1} of "
                f"{self.steps}; a lower learning_rate may help"
            )
        self.looked_at = self.step
        return float(seen.mean())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "weights": [weight.detach() for weight in self.weights],
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "losses": self.losses[: self.step].clone(),
            "seconds": self.seconds,
            "rows_seen": self.rows_seen,
            "rows_per_forward": self.rows_per_forward,
            "halved": self.halved,
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Goes on from a checkpoint, where there is one: the steps that were taken before."""
        if state is not None:
            self.step = self.looked_at = state["step"]
            with torch.no_grad():
                for weight, value in zip(self.weights, state["weights"], strict=True):
                    weight.copy_(value)
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            self.losses[: self.step] = state["losses"]
            self.seconds, self.rows_seen = state["seconds"], state["rows_seen"]
            self.rows_per_forward, self.halved = state["rows_per_forward"], state["halved"]
        return self.step


def order_of(rows: int, config: VqaLora, seed: int) -> Order:
    """By the seed, not by the adapter's name: adapters of one seed that differ in shape see the same batches."""
    return Order(
        "",
        [0] * rows,
        seed=seed,
        repeats=1,
        batch_size=config.train_batch_size,
        accumulated=config.gradient_accumulation_steps,
    )
