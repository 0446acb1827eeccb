"""LoRA layers of several adapters on one frozen model: every sample of a batch passes through the adapter it is of.

A layer holds A (adapters, rank, in) and B (adapters, out, rank) and adds scale * B A x to what the frozen layer gives,
for all adapters in two batched products. One adapter alone is a stack of one: there is no other trainer.

All weights of an adapter are one row of one matrix, which the layers look into; so are its gradients. Clipping, the
optimiser and a checkpoint then take one operation each, however many layers and adapters there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from tamis.seeds import seed_of


@dataclass(frozen=True)
class Target:
    """A layer to adapt: where it is, by the component of the pipeline and the path in it."""

    component: str
    path: str
    parent: nn.Module
    layer: nn.Linear | nn.Conv2d

    @property
    def attribute(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def sides(self) -> tuple[int, int]:
        """in, out"""
        return self.layer.weight.shape[1], self.layer.weight.shape[0]


class Seats:
    """Which adapter each sample of the present batch is of. None: all, in their order, equally many samples each."""

    rows: torch.Tensor | None = None
    empty: bool = False  # no adapter at all: the frozen model alone


class StackedLora(nn.Module):
    """A frozen layer and the adapters on it."""

    def __init__(
        self, base: nn.Linear | nn.Conv2d, down: nn.Parameter, up: nn.Parameter, scale: float, seats: Seats
    ) -> None:
        super().__init__()
        self.base = base
        self.down = down
        self.up = up
        self.scale = scale
        self.seats = seats

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.base(x)
        if self.seats.empty:
            return given
        rows = self.seats.rows
        if x.ndim == 4:  # a convolution of one pixel: (samples, channels, height, width)
            if rows is None and len(x) != len(self.down):
                rows = torch.arange(len(self.down), device=x.device).repeat_interleave(len(x) // len(self.down))
            down, up = self._of(rows)
            narrow = torch.bmm(down, x.flatten(2))
            return torch.baddbmm(given.flatten(2), up, narrow, alpha=self.scale).view_as(given)
        down, up = self._of(rows)
        narrow = torch.bmm(x.reshape(len(down), -1, x.shape[-1]), down.transpose(1, 2))
        flat = given.reshape(len(down), -1, given.shape[-1])
        return torch.baddbmm(flat, narrow, up.transpose(1, 2), alpha=self.scale).view_as(given)

    def _of(self, rows: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        if rows is None:
            return self.down, self.up
        return self.down.index_select(0, rows), self.up.index_select(0, rows)


class LoraStack:
    """The adapters of one stack: a row each of `weights` and `gradients`."""

    def __init__(
        self, names: list[str], targets: list[Target], *, rank: int, alpha: float, seed: int, device: torch.device
    ) -> None:
        self.names = names
        self.targets = targets
        self.rank = rank
        self.scale = alpha / rank
        self.seats = Seats()
        first = [_initial(targets, rank, seed_of("weights", seed, name)) for name in names]
        self.weights = nn.Parameter(torch.stack(first).to(device))
        self.gradients = torch.zeros_like(self.weights)
        self.weights.grad = self.gradients
        self._parts: list[tuple[nn.Parameter, torch.Tensor]] = []  # what a layer looks into, and its gradient's place
        self.layers = list(self._built())

    @contextmanager
    def worn(self) -> Iterator[None]:
        """The adapters are in the model inside `with`, and it is as it was after."""
        for target, layer in zip(self.targets, self.layers, strict=True):
            setattr(target.parent, target.attribute, layer)
        try:
            yield
        finally:
            for target in self.targets:
                setattr(target.parent, target.attribute, target.layer)

    @contextmanager
    def taken_off(self) -> Iterator[None]:
        """Inside `with` the frozen model predicts, for every sample: what a preference is held against."""
        self.seats.empty = True
        try:
            yield
        finally:
            self.seats.empty = False

    @contextmanager
    def only(self, adapter: int) -> Iterator[None]:
        """Inside `with` every sample passes through this adapter, however many there are."""
        self.seats.rows = None
        kept = [(layer.down, layer.up) for layer in self.layers]
        for layer, (down, up) in zip(self.layers, kept, strict=True):
            layer.down = nn.Parameter(down[adapter : adapter + 1].detach(), requires_grad=False)
            layer.up = nn.Parameter(up[adapter : adapter + 1].detach(), requires_grad=False)
        try:
            yield
        finally:
            for layer, (down, up) in zip(self.layers, kept, strict=True):
                layer.down, layer.up = down, up

    def learn(self, loss: torch.Tensor) -> None:
        """Adds the loss's gradient to all that came before it."""
        gradients = torch.autograd.grad(loss, [part for part, _ in self._parts])
        for (_, place), gradient in zip(self._parts, gradients, strict=True):
            place.add_(gradient)

    def clip(self, longest: float) -> None:
        """Each adapter's gradient by itself, as torch.nn.utils.clip_grad_norm_ would."""
        norms = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        self.gradients.mul_((longest / (norms + 1e-6)).clamp(max=1.0))

    def matrices(self, adapter: int) -> Iterator[tuple[Target, torch.Tensor, torch.Tensor]]:
        """Every layer's A (rank, in) and B (out, rank) of one adapter."""
        for target, layer in zip(self.targets, self.layers, strict=True):
            yield target, layer.down[adapter].detach(), layer.up[adapter].detach()

    def _built(self) -> Iterator[StackedLora]:
        start = 0
        for target in self.targets:
            inner, outer = target.sides
            down, start = self._view(start, self.rank, inner)
            up, start = self._view(start, outer, self.rank)
            yield StackedLora(target.layer, down, up, self.scale, self.seats)

    def _view(self, start: int, height: int, width: int) -> tuple[nn.Parameter, int]:
        """A parameter that is a part of every adapter's row, as its gradient is."""
        stop = start + height * width
        shape = (len(self.names), height, width)
        part = nn.Parameter(self.weights.detach()[:, start:stop].unflatten(1, shape[1:]))
        self._parts.append((part, self.gradients[:, start:stop].unflatten(1, shape[1:])))
        return part, stop


def _initial(targets: list[Target], rank: int, seed: int) -> torch.Tensor:
    """One adapter's row, as PEFT begins: A as torch begins a linear layer, B zero."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for target in targets:
        inner, outer = target.sides
        down = nn.init.kaiming_uniform_(torch.empty(rank, inner), a=math.sqrt(5), generator=generator)
        parts += [down.flatten(), torch.zeros(outer * rank)]
    return torch.cat(parts)


def denoiser_targets(unet: nn.Module, which: str) -> list[Target]:
    """transformer: every Linear and 1x1 convolution in Transformer2DModel; attention: its four projections alone."""
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    blocks = [path for path, module in unet.named_modules() if isinstance(module, Transformer2DModel)]
    inside = _layers(unet, "unet", blocks)
    if which == "transformer":
        return inside
    return [target for target in inside if target.path.endswith(("to_q", "to_k", "to_v", "to_out.0"))]


def text_targets(encoder: nn.Module, component: str, *, unread: int) -> list[Target]:
    """Attention and feed-forward of every layer, as kohya does, but of those at the end that nobody reads."""
    (path, layers) = next((path, module) for path, module in encoder.named_modules() if path.endswith("encoder.layers"))
    return _layers(encoder, component, [f"{path}.{number}" for number in range(len(layers) - unread)])


def _layers(model: nn.Module, component: str, inside: list[str]) -> list[Target]:
    return [
        Target(component, path, model.get_submodule(path.rpartition(".")[0]), layer)
        for path, layer in model.named_modules()
        if any(path.startswith(f"{block}.") for block in inside)
        and (isinstance(layer, nn.Linear) or isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
    ]
