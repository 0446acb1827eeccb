"""Adapters that learn from pairs: Diffusion-DPO as its paper has it, alone or in a stack."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Image
from small_diffusion import SAME, SD2, apart, apart_from_peer, captions, peer_of, picture, rows, settings, weights
from torch.nn import functional as F

from tamis.config import ConfigError
from tamis.training.diffusion_models import load
from tamis.training.examples import Columns, encode, encode_texts
from tamis.training.objective import draws
from tamis.training.stack_training import StackTraining

Train = Callable[..., dict[str, Any]]
BETA = 200.0  # a few large steps: of the customary 5,000 the sigmoid would be at its end at once


def pairs(*seeds: int, worse: list[Any] | None = None) -> Dataset:
    """Pictures, each with the one of the next seed as the worse."""
    cells = worse or [picture(seed + 100) for seed in seeds]
    return rows(*seeds).add_column("worse", cells, feature=Image(decode=False))


def test_three_steps_equal_those_of_peft_with_its_adapter_off_for_reference(run: Any) -> None:
    config = settings(SD2, lora_targets="attention", train_batch_size=2, max_grad_norm=None, dpo_beta=BETA)
    ours, theirs = load(str(SD2), ""), load(str(SD2), "")
    columns = Columns("image", None, {"a": "a photo of a red star"}, "worse")
    examples = encode({"a": pairs(1, 2, 3)}, columns, ours, run, resolution=config.resolution, shapes=True)
    encode_texts(examples, ours)
    training = StackTraining(["a"], 3, model=ours, examples=examples, config=config, seed=0, say=print)

    unet, schedule = theirs.unet, theirs.schedule
    layers, optimizer = peer_of(training.stack, unet, config)

    def told(images: list[str], step: int, captions: list[str]) -> torch.Tensor:
        """The squared error about each image, under the same chances whichever of the pair it is."""
        known = [examples.latents[image] for image in images]
        drawn = draws(0, "a", step, [one.mean.shape for one in known], 1000)
        latents = torch.stack([one.mean + one.deviation * d.of_latents for one, d in zip(known, drawn, strict=True)])
        noise, timesteps = torch.stack([d.noise for d in drawn]), torch.tensor([d.timestep for d in drawn])
        text = torch.stack([theirs.text(caption).embedding for caption in captions])
        predicted = unet(schedule.add_noise(latents, noise, timesteps), timesteps, text).sample
        wanted = schedule.get_velocity(latents, noise, timesteps)
        return F.mse_loss(predicted, wanted, reduction="none").mean(dim=[1, 2, 3])

    with training.stack.worn():
        for step in range(3):
            chosen = [examples.rows["a"][place] for place in training.orders[0][step][0]]
            asked = [row.caption for row in chosen]
            both = [[getattr(row, which) for row in chosen] for which in ("image", "worse")]
            unet.disable_adapters()
            with torch.no_grad():
                reference = [told(images, step, asked) for images in both]
            unet.enable_adapters()
            found = [told(images, step, asked) for images in both]
            inside = -0.5 * BETA * ((found[0] - found[1]) - (reference[0] - reference[1]))
            loss = -F.logsigmoid(inside).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            training._take_step()
            torch.testing.assert_close(training.losses[step, 0], loss.detach(), rtol=1e-3, atol=1e-5)
            training.step += 1
    assert training.losses[0, 0] == pytest.approx(math.log(2), abs=1e-5)  # B is zero: nothing is preferred yet
    assert apart_from_peer(training.stack, layers) < SAME


def test_a_stack_of_pairs_is_its_adapters_trained_one_by_one(train: Train, sd1: Path) -> None:
    given = {"x/a": pairs(1, 2), "x/b": pairs(3, 4, 5)}
    changed = {"max_train_steps": 4, "train_batch_size": 2, "dpo_beta": BETA, "learning_rate": 3e-3}
    told = {"captions": captions(*given), "worse_column": "worse"}
    together = train(given, settings(sd1, adapters_at_once=2, **changed), "together", **told)
    single = train(given, settings(sd1, **changed), "single", **told)
    for name in given:
        assert apart(weights(together[name].path), weights(single[name].path)) < SAME
        assert together[name].train_metrics["loss"] == pytest.approx(single[name].train_metrics["loss"], abs=1e-4)


def test_what_was_liked_more_is_preferred_after_it(train: Train) -> None:
    """And the other way round, other weights: the loss looks at both pictures."""
    changed = {"max_train_steps": 60, "train_batch_size": 2, "dpo_beta": 2000.0, "learning_rate": 3e-3}
    one = pairs(1, 2)
    turned = one.rename_columns({"image": "worse", "worse": "image"})
    made = {
        name: train({"a": given}, settings(SD2, **changed), name, captions=captions("a"), worse_column="worse")["a"]
        for name, given in (("one", one), ("turned", turned))
    }
    assert all(adapter.train_metrics["loss"] < 0.5 < math.log(2) for adapter in made.values())
    assert apart(*(weights(adapter.path) for adapter in made.values())) > 0.5


def test_pairs_that_cannot_be_learnt_from_are_left_out_counted_and_said(train: Train, sd1: Path, capsys: Any) -> None:
    broken, wide = {"bytes": b"no picture", "path": None}, picture(9, (90, 30))
    given = {"a": pairs(1, 2, 3, worse=[picture(4), broken, wide])}
    made = train(given, settings(sd1, resolution=64), captions=captions("a"), worse_column="worse")
    assert made["a"].train_metrics["images"] == 1
    said = capsys.readouterr().out
    assert "1 of 3 rows left out: image: " in said and "1 of 3 rows left out: a pair of two shapes" in said


@pytest.mark.parametrize(
    ("changed", "column", "said"),
    [
        ({}, "loser", "column 'loser' is not in its subset"),
        ({"snr_gamma": 5.0}, "worse", "snr_gamma: pairs are not weighted"),
        ({"dpo_beta": 0.0}, "worse", "dpo_beta: 0.0 is not accepted"),
    ],
)
def test_unfit_settings_are_refused(train: Train, sd1: Path, changed: dict, column: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train({"a": pairs(1)}, settings(sd1, **changed), captions=captions("a"), worse_column=column)
