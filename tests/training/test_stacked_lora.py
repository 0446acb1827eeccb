"""The layer and the loss, held against PEFT and against the plain loop that diffusers' example runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_diffusion import SAME, SD2, apart_from_peer, peer_of, rows, settings
from torch import nn

from tamis.training.diffusion_models import DiffusionModel, load
from tamis.training.examples import Columns, Examples, encode, encode_texts
from tamis.training.objective import draws
from tamis.training.stack_training import StackTraining
from tamis.training.stacked_lora import LoraStack, Seats, StackedLora, Target


@pytest.mark.parametrize("kind", ["linear", "convolution"])
@pytest.mark.parametrize("rows_of", [None, [0, 0, 1, 1, 2, 2], [2, 0, 0, 1, 2, 0]])
def test_every_sample_passes_through_its_own_adapter(kind: str, rows_of: list[int] | None) -> None:
    torch.manual_seed(0)
    base = nn.Linear(6, 8) if kind == "linear" else nn.Conv2d(6, 8, 1)
    down, up = nn.Parameter(torch.randn(3, 2, 6)), nn.Parameter(torch.randn(3, 8, 2))
    seats = Seats()
    layer = StackedLora(base, down, up, 0.5, seats)
    x = torch.randn(6, 5, 6) if kind == "linear" else torch.randn(6, 6, 3, 4)
    seats.rows = None if rows_of is None else torch.tensor(rows_of)
    got = layer(x)
    for place, adapter in enumerate(rows_of or [0, 0, 1, 1, 2, 2]):
        one = x[place] if kind == "linear" else x[place].movedim(0, -1)
        added = one @ down[adapter].T @ up[adapter].T * 0.5
        wanted = base(x[place : place + 1])[0] + (added if kind == "linear" else added.movedim(-1, 0))
        torch.testing.assert_close(got[place], wanted)


def test_a_layer_computes_in_the_models_precision_and_learns_in_float32() -> None:
    base = nn.Linear(6, 8).to(torch.bfloat16).requires_grad_(False)
    down, up = nn.Parameter(torch.randn(2, 2, 6)), nn.Parameter(torch.randn(2, 8, 2))
    layer = StackedLora(base, down, up, 0.5, Seats())
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(torch.randn(2, 5, 6, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16
    assert all(grad.dtype == torch.float32 for grad in torch.autograd.grad(out.float().sum(), [down, up]))


def test_an_adapter_begins_alike_in_any_stack_and_as_peft_begins() -> None:
    parent = nn.Sequential(nn.Linear(64, 32))
    targets = [Target("unet", "0", parent, parent[0])]

    def stack(*names: str) -> LoraStack:
        return LoraStack(list(names), targets, rank=8, alpha=8, seed=0, device=torch.device("cpu"))

    _, down, up = next(stack("b", "a").matrices(1))
    _, alone, _ = next(stack("a").matrices(0))
    _, other, _ = next(stack("b").matrices(0))
    assert torch.equal(down, alone)
    assert not torch.equal(down, other)
    assert not up.any()
    bound = 1 / 64**0.5  # kaiming_uniform(a=sqrt 5)
    assert 0.95 * bound < down.abs().max() <= bound


def encoded(model: DiffusionModel, run: Any, config: Any) -> Examples:
    subset = {"a": rows(1, 2, 3)}
    columns = Columns("image", None, {"a": "a photo of a red star"})
    examples = encode(subset, columns, model, run, resolution=config.resolution, shapes=True)
    encode_texts(examples, model)
    return examples


@pytest.mark.parametrize("base", ["sd1", "sd2"])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_three_steps_equal_those_of_diffusers(
    request: pytest.FixtureRequest, run: Any, base: str, gamma: float | None
) -> None:
    """The same images and noise through unet.add_adapter(LoraConfig), F.mse_loss and AdamW, as the example does."""
    folder: Path = SD2 if base == "sd2" else request.getfixturevalue(base)
    config = settings(folder, lora_targets="attention", train_batch_size=2, snr_gamma=gamma, max_grad_norm=None)
    ours, theirs = load(str(folder), ""), load(str(folder), "")
    examples = encoded(ours, run, config)
    training = StackTraining(["a"], 3, model=ours, examples=examples, config=config, seed=0, say=print)

    unet, schedule = theirs.unet, theirs.schedule
    layers, optimizer = peer_of(training.stack, unet, config)

    with training.stack.worn():
        for step in range(3):
            chosen = [examples.rows["a"][place] for place in training.orders[0][step][0]]
            known = [examples.latents[row.image] for row in chosen]
            drawn = draws(0, "a", step, [one.mean.shape for one in known], 1000)
            latents = torch.stack(
                [one.mean + one.deviation * draw.of_latents for one, draw in zip(known, drawn, strict=True)]
            )
            noise = torch.stack([draw.noise for draw in drawn])
            timesteps = torch.tensor([draw.timestep for draw in drawn])
            text = torch.stack([theirs.text(row.caption).embedding for row in chosen])
            predicted = unet(schedule.add_noise(latents, noise, timesteps), timesteps, text).sample
            wanted = noise if base == "sd1" else schedule.get_velocity(latents, noise, timesteps)
            loss = F.mse_loss(predicted.float(), wanted.float(), reduction="none").mean(dim=[1, 2, 3])
            if gamma is not None:
                signal = schedule.alphas_cumprod[timesteps]
                snr = signal / (1 - signal)
                loss = loss * snr.clamp(max=gamma) / (snr if base == "sd1" else snr + 1)
            loss.mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            training._take_step()
            torch.testing.assert_close(training.losses[step, 0], loss.mean().detach(), rtol=1e-4, atol=1e-6)
            training.step += 1
    assert apart_from_peer(training.stack, layers) < SAME


def test_min_snr_weights_at_the_end_of_a_schedule_without_signal() -> None:
    from tamis.training.objective import weights

    schedule = load(str(SD2), "").schedule
    found = weights(schedule, torch.tensor([0, 500, 999]), 5.0)
    assert found.isfinite().all()
    assert found[2] == pytest.approx(0.0, abs=1e-6)  # nothing of the image is there to be told
    assert 0 < found[0] < found[1] < 1
