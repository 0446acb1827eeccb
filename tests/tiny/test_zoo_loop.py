"""The training loop goes on after a kill as if there had been none, and refuses to go on where it must not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tamis.config import ConfigError
from tamis.tiny.zoo import loop


class Toy:
    name, steps, learning_rate = "toy", 12, 1e-2

    def __init__(self, dies_at: int | None = None, nan_at: int | None = None, average: float | None = None) -> None:
        self.dies_at, self.nan_at, self.average = dies_at, nan_at, average

    def model(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        if step == self.dies_at:
            raise KeyboardInterrupt
        chance = torch.Generator().manual_seed(step)
        return {"x": torch.randn(16, 4, generator=chance) * (float("nan") if step == self.nan_at else 1.0)}

    def loss(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]):
        wanted = batch["x"].sum(1, keepdim=True) + torch.randn(16, 1)  # noise of the step
        return (model(batch["x"]) - wanted).square().mean(), {}


def _weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("average", [None, 0.9])
def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path: Path, average: float | None) -> None:
    whole = loop.train(Toy(average=average), Toy().model(), tmp_path / "whole", say=lambda _: None)
    for dies_at in (3, 7):
        with pytest.raises(KeyboardInterrupt):
            lesson = Toy(dies_at, average=average)
            loop.train(lesson, lesson.model(), tmp_path / "killed", say=lambda _: None, save_every=0)
    ended = loop.train(Toy(average=average), Toy().model(), tmp_path / "killed", say=lambda _: None)
    assert torch.equal(_weights(whole), _weights(ended))
    assert not torch.equal(_weights(whole), _weights(Toy().model()))


def test_a_finished_training_is_not_run_again(tmp_path: Path) -> None:
    first = loop.train(Toy(), Toy().model(), tmp_path, say=lambda _: None)
    again = Toy(dies_at=0)
    second = loop.train(again, again.model(), tmp_path, say=lambda _: None)
    assert torch.equal(_weights(first), _weights(second))


def test_every_parameter_moves(tmp_path: Path) -> None:
    before = [parameter.detach().clone() for parameter in Toy().model().parameters()]
    model = loop.train(Toy(), Toy().model(), tmp_path, say=lambda _: None)
    assert all(not torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))


def test_a_loss_that_is_no_number_stops_with_the_checkpoint_kept(tmp_path: Path) -> None:
    lesson = Toy(nan_at=5)
    with pytest.raises(ArithmeticError, match="toy: the loss is nan at step 5"):
        loop.train(lesson, lesson.model(), tmp_path, say=lambda _: None, save_every=0)
    assert torch.load(tmp_path / "toy.pt", weights_only=True)["step"] == 5


def test_the_checkpoint_of_another_lesson_is_refused(tmp_path: Path) -> None:
    loop.train(Toy(), Toy().model(), tmp_path, say=lambda _: None)
    longer = Toy()
    longer.steps = 20
    with pytest.raises(ConfigError, match=r"toy.pt is of another lesson .*: delete it to begin anew"):
        loop.train(longer, longer.model(), tmp_path, say=lambda _: None)
    with pytest.raises(ConfigError, match="another lesson"):
        loop.train(Toy(), Toy().model(), tmp_path, say=lambda _: None, begun_from="packaged")
