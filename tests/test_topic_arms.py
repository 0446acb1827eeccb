"""Arms within a topic: what each keeps, and which topics have too little to choose from."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset

from tamis.config import ConfigError
from tamis.topic_arms import FORMS, Choice, choose, choose_all, clusters, trained_on, union

HOW: dict[str, Any] = {"by": "score", "weaker_by": "weaker", "answers": "answers", "most": 3, "seed": 0}
ANSWERS = [{"id": "q1", "answer": "red"}, {"id": "q2", "answer": "ring"}]
OTHERS = [{"id": "q1", "answer": "brown"}, {"id": "q2", "answer": "ring"}]


def rows(scores: list[float | None], **columns: list[Any]) -> Dataset:
    made = {"row_id": [f"r{at}" for at in range(len(scores))], "score": scores}
    made |= {"weaker": [None if score is None else 1 - score for score in scores], "answers": [ANSWERS] * len(scores)}
    return Dataset.from_dict(made | columns)


SCORES = [0.1, 0.9, None, 0.5, 0.7, 0.3]


def kept(name: str, made: Dataset, **how: Any) -> list[str]:
    return choose(made, FORMS.parse(name), **HOW | how)["row_id"][:]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("top-2", ["r1", "r4"]),
        ("top-2.matched", ["r1", "r4"]),
        ("top-2.weaker", ["r0", "r5"]),
        ("bottom-2", ["r0", "r5"]),
        ("full", ["r0", "r1", "r3", "r4", "r5"]),
    ],
)
def test_what_an_arm_keeps(name: str, ids: list[str]) -> None:
    assert kept(name, rows(SCORES)) == ids


def test_random_arms_draw_from_the_scored_alone_and_by_seed() -> None:
    made = rows([0.5 if at % 2 else None for at in range(40)])
    draws = [kept(f"random-5.{draw}", made, seed=seed) for seed in (0, 1) for draw in (1, 2)]
    assert len(set(map(tuple, draws))) == 4 and draws[0] == kept("random-5.1.matched", made)
    assert all(len(draw) == 5 and all(int(one[1:]) % 2 for one in draw) for draw in draws)
    with pytest.raises(ConfigError, match="21"):
        kept("random-21.1", made)


def test_top_spread_follows_how_much_a_topics_pictures_differ() -> None:
    """Within one standard deviation of the best, at least two, at most the largest K."""
    spread = [0.9, 0.1, 0.8, 0.1, 0.1, 0.6, 0.1]  # deviation 0.34
    assert kept("top-spread", rows(spread), most=6) == ["r0", "r2", "r5"]
    assert kept("top-spread", rows(spread), most=2) == ["r0", "r2"]
    assert kept("top-spread", rows([0.9, 0.2, 0.1, 0.15])) == ["r0", "r1"]  # the best alone would be one
    assert len(kept("top-spread", rows([0.5] * 8))) == 3
    assert len(kept("top-spread", rows([0.5] * 8), most=6)) == 6
    assert kept("top-spread", rows([None, 0.5])) == ["r1"]


def test_clustered_keeps_of_both_looks_by_their_share() -> None:
    """Eight good candidates: six answer red, two brown. top-4 would keep the red ones alone."""
    scores = [0.9, 0.89, 0.88, 0.87, 0.86, 0.85, 0.8, 0.79, *[0.1] * 8]
    made = rows(scores, answers=[*[ANSWERS] * 6, *[OTHERS] * 2, *[ANSWERS] * 8], cluster=["mine"] * 16)
    assert kept("top-4", made) == ["r0", "r1", "r2", "r3"]
    assert kept("clustered-4", made) == ["r0", "r1", "r2", "r6"]
    chosen = choose(made, FORMS.parse("clustered-4"), **HOW)
    assert chosen.column_names == made.column_names and set(chosen["cluster"]) == {"mine"}
    assert kept("clustered-12", made) == kept("top-12", made)  # the half is never less than K


def test_clusters_are_of_answers() -> None:
    two = clusters(rows([0.5] * 5, answers=[ANSWERS, OTHERS, ANSWERS, OTHERS, ANSWERS]), "answers")
    assert two[0] == two[2] == two[4] != two[1] == two[3]
    assert clusters(rows([0.5] * 4), "answers") == [0] * 4
    assert clusters(rows([0.5] * 2, answers=[ANSWERS, OTHERS]), "answers") == [0, 0]
    assert len(clusters(rows([0.5] * 3, answers=[ANSWERS, None, OTHERS]), "answers")) == 3


def test_every_arm_of_every_seed_and_topic() -> None:
    arms = {0: FORMS.expand(["none", "random-2", "top-2"], 2), 7: FORMS.expand(["top-2"], 2)}
    by_topic = {"dax": rows(SCORES), "wug": rows([0.5, None, None]), "fep": rows([0.1, 0.2])}
    choices, refused = choose_all(by_topic, arms, by="score", weaker_by=None, answers="answers")
    assert refused == {"wug": "too few candidates: 1 can be scored, 2 are needed"}
    assert [(one.topic, one.arm.name, one.seed) for one in choices] == [
        (topic, *arm)
        for topic in ("dax", "fep")
        for arm in (("random-2.1", 0), ("random-2.2", 0), ("top-2", 0), ("top-2", 7))
    ]
    assert [one.folder("d", 0) for one in choices[2:4]] == ["d/top-2", "d/top-2.seed-7"]

    means = trained_on(choices, "score", seed=0)
    assert means["top-2"] == pytest.approx({"dax": 0.8, "fep": 0.15}) and set(means) == {"random-2", "top-2"}
    pool = Dataset.from_dict({"row_id": [f"r{at}" for at in range(6)]})
    subsets = union(choices[:4], pool, 0)
    assert subsets["top-2"]["row_id"][:] == ["r1", "r4"] and list(subsets) == ["random-2.1", "random-2.2", "top-2"]


def test_a_topic_that_the_weaker_judge_could_not_score_is_refused() -> None:
    made = {"dax": rows(SCORES, weaker=[0.5, None, None, None, None, None])}
    arms = {0: FORMS.expand(["top-2", "top-2.weaker"], 1)}
    _, refused = choose_all(made, arms, by="score", weaker_by="weaker", answers="answers")
    assert refused == {"dax": "too few candidates: 1 can be scored, 2 are needed"}


def test_what_the_other_judge_refused_is_in_no_mean() -> None:
    """A weaker judge may choose pictures that the first one refused: no number, and never NaN."""
    refused = [
        Choice("dax", FORMS.parse("top-1.weaker"), 0, rows([None])),
        Choice("wug", FORMS.parse("top-1.weaker"), 0, rows([0.5])),
    ]
    assert trained_on(refused, "score", seed=0) == {"top-1.weaker": {"wug": 0.5}}
