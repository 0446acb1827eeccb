"""The training loop of the zoo: batches that depend on the step's number alone, checkpoints, resume after any kill."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tamis.config import ConfigError
from tamis.durable import rename_durably
from tamis.journal import source_code

if TYPE_CHECKING:
    import torch
    from torch import nn


class Lesson(Protocol):
    """What one model is taught."""

    name: str
    steps: int
    learning_rate: float
    average: float | None  # share of the running mean that a step keeps; None: the last weights are the result

    def batch(self, step: int) -> dict[str, Any]:
        """The batch of a step, from its number alone; runs in worker processes where there is a GPU."""

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss and figures to watch."""


def train(
    lesson: Lesson,
    model: nn.Module,
    folder: Path,
    *,
    say: Callable[[str], None] = print,
    save_every: float = 60.0,
    begun_from: str = "scratch",
) -> nn.Module:
    """Trains in place up to lesson.steps and returns the model.

    A checkpoint is taken every `save_every` seconds and at the end. Started again, it goes on from the last one: the
    same steps with the same batches, noise and dropout as without the interruption. A checkpoint of another lesson
    (its code, its steps, what it was `begun_from`) is refused.
    """
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
        lr=lesson.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    mean = [parameter.detach().clone() for parameter in parameters] if lesson.average else []
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / f"{lesson.name}.pt", folder / f"{lesson.name}.jsonl"
    start, key = 0, f"{source_code(type(lesson))} {lesson.steps} {lesson.learning_rate} {begun_from}"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["lesson"] != key:
            raise ConfigError(
                f"{lesson.name}: {checkpoint} is of another lesson (code, steps or start have changed since): "
                "delete it to begin anew"
            )
        with torch.no_grad():
            for parameter, value in zip(parameters, state["parameters"], strict=True):
                parameter.copy_(value)
            for averaged, value in zip(mean, state["mean"], strict=True):
                averaged.copy_(value)
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
        say(f"{lesson.name}: going on from step {start}")

    def save(step: int) -> None:
        with torch.no_grad():
            state = {
                "lesson": key,
                "step": step,
                "parameters": [parameter.detach() for parameter in parameters],
                "mean": mean,
                "optimizer": optimizer.state_dict(),
            }
        torch.save(state, checkpoint.with_suffix(".tmp"))
        rename_durably(checkpoint.with_suffix(".tmp"), checkpoint)

    saved = began = time.monotonic()
    for step, batch in zip(range(start, lesson.steps), _batches(lesson, start, device), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lesson.learning_rate * _share(step, lesson.steps)
        torch.manual_seed(step)
        loss, figures = lesson.loss(model, batch)
        if not math.isfinite(loss.item()):
            raise ArithmeticError(f"{lesson.name}: the loss is {loss.item()} at step {step}")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if lesson.average:
            share = min(lesson.average, (step + 1) / (step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(mean, [parameter.detach() for parameter in parameters], 1 - share)
        if step % 50 == 0 or step + 1 == lesson.steps:
            pace = (step + 1 - start) / (time.monotonic() - began)
            line = {"step": step, "loss": round(loss.item(), 4), "steps_per_second": round(pace, 2)}
            line |= {name: round(value, 4) for name, value in figures.items()}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            left = (lesson.steps - step - 1) / pace / 60
            say(f"{lesson.name} {' '.join(f'{name} {value}' for name, value in line.items())}, {left:.0f} min left")
        if time.monotonic() - saved > save_every:
            save(step + 1)
            saved = time.monotonic()
    if start < lesson.steps:
        save(lesson.steps)
    with torch.no_grad():
        for parameter, averaged in zip(parameters, mean, strict=bool(lesson.average)):
            parameter.copy_(averaged)
    return model.eval()


def _share(step: int, steps: int) -> float:
    """Of the learning rate: a short rise, then half a cosine down to a fiftieth."""
    rise = min(200, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _batches(lesson: Lesson, start: int, device: torch.device) -> Any:
    """On a GPU drawing would be the bottleneck: worker processes draw ahead."""
    from torch.utils.data import DataLoader

    workers = 12 if device.type == "cuda" else 0
    loader = DataLoader(_Steps(lesson, start), batch_size=None, num_workers=workers, pin_memory=workers > 0)
    for batch in loader:
        yield {
            name: value.to(device, non_blocking=True) if hasattr(value, "to") else value
            for name, value in batch.items()
        }


class _Steps:
    def __init__(self, lesson: Lesson, start: int) -> None:
        self.lesson, self.start = lesson, start

    def __len__(self) -> int:
        return self.lesson.steps - self.start

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= len(self):
            raise IndexError(index)
        return self.lesson.batch(self.start + index)
