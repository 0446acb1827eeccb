"""Epochs, repeats, buckets and batches as kohya counts them."""

from __future__ import annotations

from collections import Counter

import pytest

from tamis.training.order import Order


def order(buckets: list[str], *, name: str = "a", repeats: int = 5, batch_size: int = 1, accumulated: int = 1) -> Order:
    return Order(name, buckets, seed=0, repeats=repeats, batch_size=batch_size, accumulated=accumulated)


@pytest.mark.parametrize(("images", "steps"), [(2, 200), (5, 500), (10, 1000), (15, 1500)])
def test_the_papers_numbers_of_steps(images: int, steps: int) -> None:
    assert 20 * order(["square"] * images).steps_per_epoch == steps


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_an_epoch_shows_every_image_so_often_and_no_batch_mixes_shapes(batch_size: int, accumulated: int) -> None:
    buckets = ["square"] * 3 + ["wide"] * 4
    made = order(buckets, batch_size=batch_size, accumulated=accumulated)
    batches = -(-15 // batch_size) + -(-20 // batch_size)
    assert made.steps_per_epoch == -(-batches // accumulated)
    for epoch in range(2):
        steps = [made[epoch * made.steps_per_epoch + step] for step in range(made.steps_per_epoch)]
        shown = [batch for step in steps for batch in step]
        assert Counter(position for batch in shown for position in batch) == dict.fromkeys(range(7), 5)
        assert all(len({buckets[position] for position in batch}) == 1 for batch in shown)
        assert all(1 <= len(step) <= accumulated for step in steps)


def test_the_order_is_of_the_seed_the_name_and_the_epoch() -> None:
    one = order(["square"] * 9)
    epoch = [one[step] for step in range(45)]
    assert [order(["square"] * 9)[step] for step in range(45)] == epoch
    assert [one[step] for step in range(45, 90)] != epoch
    assert [order(["square"] * 9, name="b")[step] for step in range(45)] != epoch
    assert [one[step] for step in range(45)] == epoch  # going back, as a retried step does
