"""What scores of drawn pictures say of arms, on tables whose every number is known."""

from __future__ import annotations

import random

import pytest
from datasets import Dataset
from drawn_rows import ARMS, drawn, grid

from tamis.grading import Graded, measure, win_rates


def test_means_pool_draws_and_split_by_style() -> None:
    graded = Graded(drawn(grid(ARMS, styles=("photo", "drawing"))), ["topic"], seed=0)
    assert graded.arms == ["none", "random-2", "top-2"]
    means = graded.means(["quiz_accuracy"])
    shared = 0.04 * 2.5 + 0.02 * 0.5
    assert means["none"]["quiz_accuracy@style=photo"]["value"] == pytest.approx(0.1 + shared)
    assert means["none"]["quiz_accuracy@style=drawing"]["value"] == pytest.approx(0.2 + shared)
    assert means["random-2"]["quiz_accuracy"]["value"] == pytest.approx(0.3 + shared + 0.05)
    assert [means[arm]["quiz_accuracy"]["n"] for arm in ("none", "random-2")] == [24, 48]


def test_intervals_of_means_are_of_topics() -> None:
    """A hundred pictures of two topics are two values."""
    values = {("none", topic, "photo", turn): mean for topic, mean in (("a", 0.2), ("b", 0.8)) for turn in range(50)}
    estimate = Graded(drawn(values), ["topic"], seed=0).means(["quiz_accuracy"])["none"]["quiz_accuracy"]
    assert estimate["value"] == pytest.approx(0.5) and estimate["n"] == 100
    assert (estimate["low"], estimate["high"]) == pytest.approx((0.2, 0.8))


def test_nulls_are_counted_beside_means() -> None:
    values = grid({"none": 0.1}) | {("none", "t0", "photo", 0): None}
    estimate = Graded(drawn(values), ["topic"], seed=0).means(["quiz_accuracy"])["none"]["quiz_accuracy"]
    assert (estimate["n"], estimate["nulls"]) == (11, 1)


def test_arms_are_compared_on_the_same_prompts_and_noise() -> None:
    """Topics differ more than arms; pairs do not."""
    graded = Graded(drawn(grid({"none": 0.1, "top-2": 0.12}, topics=8)), ["topic"], seed=0)
    compared = graded.compare("top-2", "none", "quiz_accuracy", clustered_by="topic")
    assert [compared[name] for name in ("difference", "low", "high")] == pytest.approx([0.02] * 3)
    assert compared["n"] == 16 and compared["p"] == pytest.approx(2 / 2**8)  # all signs alike, by topic
    assert compared["clustered_by"] == "topic"


def test_a_pair_that_lacks_one_side_is_left_out() -> None:
    values = grid({"none": 0.1, "top-2": 0.3})
    values[("top-2", "t5", "photo", 0)] = None
    del values[("none", "t5", "photo", 1)]
    compared = Graded(drawn(values), ["topic"], seed=0).compare("top-2", "none", "quiz_accuracy", clustered_by="topic")
    assert compared["n"] == 10 and compared["difference"] == pytest.approx(0.2)
    nothing = Graded(drawn(values), ["topic"], seed=0).compare("top-2", "full", "quiz_accuracy", clustered_by="topic")
    assert nothing["n"] == 0 and nothing["difference"] is None


def test_draws_are_averaged_before_they_are_compared() -> None:
    graded = Graded(drawn(grid(ARMS)), ["topic"], seed=0)
    compared = graded.compare("top-2", "random-2", "quiz_accuracy", clustered_by="topic")
    assert compared["n"] == 12 and compared["difference"] == pytest.approx(0.5 - 0.3)


def test_fewer_clusters_tell_less() -> None:
    """Two categories of four topics: what all topics of a category share is not seen by clusters of topics."""
    values = grid({"none": 0.1, "top-2": 0.1}, topics=8, turns=1)
    for (arm, topic, *_), value in list(values.items()):
        if arm == "top-2":
            values[(arm, topic, "photo", 0)] = (
                value + (0.1 if int(topic[1]) < 4 else -0.05) + 0.01 * (int(topic[1]) % 2)
            )
    made = drawn(values, category=lambda row: "bird" if int(row["topic"][1]) < 4 else "dish")
    graded = Graded(made, ["topic", "category"], seed=0)
    by = {name: graded.compare("top-2", "none", "quiz_accuracy", clustered_by=name) for name in ("topic", "category")}
    assert by["topic"]["difference"] == by["category"]["difference"] == pytest.approx(0.03)
    assert by["category"]["high"] - by["category"]["low"] > by["topic"]["high"] - by["topic"]["low"]
    assert by["category"]["p"] == 1.0


def test_two_judges_agree_by_picture_and_by_topic_and_arm() -> None:
    made = drawn(grid(ARMS, topics=3), other=lambda row: -(row["quiz_accuracy"] ** 3))
    pictures, cells = Graded(made, ["topic"], seed=0).agreement("quiz_accuracy", "other")
    assert (pictures["of"], pictures["n"]) == ("pictures", 24) and pictures["value"] == pytest.approx(-1.0)
    assert (cells["of"], cells["n"]) == ("topic and arm", 9) and cells["value"] == pytest.approx(-1.0)
    assert (pictures["a"], pictures["b"]) == (cells["a"], cells["b"]) == ("quiz_accuracy", "other")


def test_agreement_is_over_the_pictures_that_both_scored() -> None:
    """What one judge refused is not in the means of the other: here they would differ, and rank otherwise."""
    values = grid({"none": 0.1, "top-2": 0.2}, topics=4, turns=2)
    for topic in range(0, 4, 2):
        values[("none", f"t{topic}", "photo", 1)] = 9.0 + topic
    made = drawn(values, other=lambda row: None if row["quiz_accuracy"] > 5 else row["quiz_accuracy"])
    _, cells = Graded(made, ["topic"], seed=0).agreement("quiz_accuracy", "other")
    assert cells["value"] == pytest.approx(1.0) and cells["n"] == 8


def test_win_rates_are_of_every_pair_of_arms() -> None:
    rows = [("top-2", "none", "t0", 0.9), ("top-2", "none", "t1", 0.7), ("top-2", "none", "t2", 0.5)]
    rows += [("top-2", "none", "t3", None), ("full", "none", "t0", 0.2)]
    made = Dataset.from_list([dict(zip(("a", "b", "topic", "pairwise_win"), row, strict=True)) for row in rows])
    first, second = win_rates(made, "pairwise_win", clustered_by="topic", seed=0)
    assert (first["a"], first["b"], first["metric"], first["n"]) == ("top-2", "none", "pairwise_win_rate", 3)
    assert first["difference"] == pytest.approx(0.7 - 0.5) and first["p"] == pytest.approx(0.5)  # signs of 0.4, 0.2, 0
    assert second["difference"] == pytest.approx(-0.3) and second["low"] is None


def test_how_often_an_arm_wins_on_the_same_prompt_and_noise() -> None:
    """However narrowly; ties half, and what one of them could not be scored on is no contest."""
    values = {("top-2", f"t{at}", "photo", 0): 0.5 + 0.1 * at for at in range(6)}
    values |= {
        ("none", f"t{at}", "photo", 0): 0.5 + 0.1 * at - gain for at, gain in enumerate((0.01, 0.4, 0, -0.2, 0.1, 0))
    }
    values["none", "t5", "photo", 0] = None
    graded = Graded(drawn(values), ["topic"], seed=0)
    found = graded.wins("top-2", "none", "quiz_accuracy", clustered_by="topic")
    assert found["metric"] == "quiz_accuracy_win_rate" and found["n"] == 5
    assert found["difference"] == pytest.approx((3 + 0.5) / 5 - 0.5)
    assert found["p"] == pytest.approx(
        0.625
    )  # of 16 sign patterns of four decided pairs ten are as uneven: 2 x (1 + 4)
    back = graded.wins("none", "top-2", "quiz_accuracy", clustered_by="topic")
    assert back["difference"] == pytest.approx(-found["difference"])


def test_what_needs_no_lora_comes_first() -> None:
    values = grid({"top-2": 0.5, "full": 0.2}) | grid({"none": 0.1})
    assert Graded(drawn(values), ["topic"], seed=0).arms[0] == "none"


def test_parts_are_compared_apart() -> None:
    """In photos the arm is better, in drawings worse."""
    values = grid({"none": 0.1, "top-2": 0.3}, topics=8, styles=("photo", "drawing"))
    values |= {key: 0.0 for key in values if key[0] == "top-2" and key[2] == "drawing"}
    made = drawn(values)
    told = {"clusters": ["topic"], "unrelated": None, "contests": None, "seed": 0, "won": ["quiz_accuracy"]}
    found = measure(made, ["quiz_accuracy"], best="top-2", apart=["style"], **told)
    rates = {one["metric"]: one for one in found["comparisons"] if one["a"] == "top-2"}
    assert rates["quiz_accuracy@style=photo"]["difference"] == pytest.approx(0.2)
    assert rates["quiz_accuracy_win_rate@style=photo"]["difference"] == 0.5
    assert rates["quiz_accuracy_win_rate@style=drawing"]["difference"] == -0.5
    assert rates["quiz_accuracy_win_rate"]["difference"] == 0 and rates["quiz_accuracy_win_rate"]["n"] == 32
    plain = measure(made, ["quiz_accuracy"], best="top-2", parts=[], **told)
    assert not [
        name for name in (*plain["arms"]["none"], *(one["metric"] for one in plain["comparisons"])) if "@" in name
    ]


def test_a_picture_competes_with_pictures_not_with_the_mean_of_several() -> None:
    """Two arms of the same skewed scores: against a mean of three draws the first would seem to win."""
    numbers = random.Random(0)

    def score() -> float:
        return 0.0 if numbers.random() < 0.3 else 1.0 - 0.01 * numbers.random()

    values = {("top-2", f"t{n}", "photo", 0): score() for n in range(600)}
    for draw in (1, 2, 3):
        values |= {(f"random-2.{draw}", f"t{n}", "photo", 0): score() for n in range(600)}
    graded = Graded(drawn(values), ["topic"], seed=0)
    won = graded.wins("top-2", "random-2", "quiz_accuracy", clustered_by="topic")
    assert won["n"] == 600 and won["low"] < 0 < won["high"] and abs(won["difference"]) < 0.03
    values[("random-2.1", "t0", "photo", 0)] = None  # the other draws still compete
    assert (
        Graded(drawn(values), ["topic"], 0).wins("top-2", "random-2", "quiz_accuracy", clustered_by="topic")["n"] == 600
    )
