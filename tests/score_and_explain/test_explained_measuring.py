"""What replies say of arms: each number is the plain one, seeds are averaged, and what cannot be told says why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, Value
from scipy.stats import spearmanr

from tamis.score_and_explain.collapse import Limits, collapsed
from tamis.score_and_explain.diversity import distinct_share, trigram_share
from tamis.score_and_explain.measuring import measure

FLOATS = ("mean", "explained_score", "explained_expected", "guess_llm", "guess_vlm", "true_remarks_share")
TEXTS = ("arm", "row_id", "explained_explanation", "explained_reply")
JUDGES = {"llm": "guess_llm", "vlm": "guess_vlm"}
PICTURES = 80


def told(**changes: Any) -> dict[str, list[Any]]:
    """Columns of one arm and seed: scores that rank well, guesses that agree."""
    draw = np.random.default_rng(changes.pop("draw", 0))
    mean = np.random.default_rng(9).uniform(1, 10, PICTURES)
    expected = np.clip(mean + changes.pop("noise", 1.0) * draw.normal(size=PICTURES), 1, 10)
    score = np.round(expected)
    words = ["sharp", "calm", "dull", "dark", "bold", "rich"]
    texts = [" ".join(draw.choice(words, 6)) for _ in range(PICTURES)]
    columns = {
        "arm": ["base"] * PICTURES,
        "seed": [0] * PICTURES,
        "row_id": [f"p{at}" for at in range(PICTURES)],
        "mean": mean.tolist(),
        "explained_score": score.tolist(),
        "explained_expected": expected.tolist(),
        "explained_explanation": texts,
        "explained_reply": [
            f"#Score: {int(one)}\n#Explanation: {text}" for one, text in zip(score, texts, strict=True)
        ],
        "guess_llm": (score + 0.5).tolist(),
        "guess_vlm": np.clip(score + draw.normal(size=PICTURES), 1, 10).tolist(),
        "true_remarks_share": [0.75] * PICTURES,
    }
    for name, value in changes.items():
        columns[name] = value if isinstance(value, list) else [value] * PICTURES
    return columns


def rows(*arms: dict[str, list[Any]]) -> Dataset:
    kinds = {"seed": Value("int64")} | dict.fromkeys(FLOATS, Value("float32")) | dict.fromkeys(TEXTS, Value("string"))
    joined = {name: [value for arm in arms for value in arm[name]] for name in kinds}
    return Dataset.from_dict(joined, features=Features(kinds))


def measured(*arms: dict[str, list[Any]], **settings: Any) -> dict[str, Any]:
    some = {"name": "explained", "judges": JUDGES, "truths": ["true_remarks_share"], "draws": 300} | settings
    return measure(rows(*arms), **some)


def test_the_numbers_of_one_arm_are_the_plain_ones() -> None:
    one = told()
    arm = measured(one)["arms"]["base"]
    for metric, column in (("spearman", "explained_score"), ("spearman_expected", "explained_expected")):
        assert arm[metric]["value"] == pytest.approx(spearmanr(one[column], one["mean"]).statistic, abs=1e-6)
        assert arm[metric]["low"] < arm[metric]["value"] < arm[metric]["high"] and arm[metric]["n"] == PICTURES
    by_judge = [spearmanr(one[column], one["explained_score"]).statistic for column in JUDGES.values()]
    assert arm["consistency_spearman@judge=llm"]["value"] == pytest.approx(1)
    assert arm["consistency_spearman@judge=vlm"]["value"] == pytest.approx(by_judge[1])
    assert arm["consistency_spearman"]["value"] == pytest.approx(np.mean(by_judge))
    assert arm["consistency_mae@judge=llm"]["value"] == arm["consistency_bias@judge=llm"]["value"] == 0.5
    apart = [np.subtract(one[column], one["explained_score"]) for column in JUDGES.values()]
    assert arm["consistency_mae"]["value"] == pytest.approx(np.abs(apart).mean(), abs=1e-6)
    assert arm["score_bias"]["value"] == pytest.approx(
        np.mean(np.subtract(one["explained_score"], one["mean"])), abs=1e-6
    )
    assert arm["wellformed"]["value"] == 1 and arm["true_remarks_share"]["value"] == 0.75
    values, often = np.unique(one["explained_score"], return_counts=True)
    assert arm["mode_share"]["value"] == often.max() / PICTURES
    assert arm["top_share"]["value"] == pytest.approx(dict(zip(values, often, strict=True)).get(10.0, 0) / PICTURES)
    assert arm["distinct_explanations"]["value"] == distinct_share(one["explained_explanation"])
    assert all({"value", "low", "high", "n", "nulls"} <= set(found) for found in arm.values())
    assert all("@" not in name or name.startswith("consistency_") for name in arm)


def test_seeds_are_averaged_and_arms_are_compared_on_rows_that_both_have() -> None:
    seeds = [told(arm="merged", seed=seed, draw=seed + 1, noise=0.5) for seed in (0, 1)]
    base = told(noise=3.0)
    base["explained_score"][:10] = [None] * 10
    found = measured(*seeds, base, best="merged")
    values = [spearmanr(one["explained_score"], one["mean"]).statistic for one in seeds]
    merged = found["arms"]["merged"]
    assert list(found["arms"]) == ["base", "merged"]
    assert merged["spearman"]["value"] == pytest.approx(np.mean(values)) and merged["spearman"]["n"] == PICTURES
    assert merged["wellformed"]["n"] == 2 * PICTURES and found["arms"]["base"]["wellformed"]["value"] == 70 / 80
    told_of = {one["metric"]: one for one in found["comparisons"]}
    assert {(one["a"], one["b"]) for one in found["comparisons"]} == {("merged", "base")}
    rank = told_of["spearman"]
    part = [spearmanr(one["explained_score"][10:], one["mean"][10:]).statistic for one in (*seeds, base)]
    assert rank["difference"] == pytest.approx(np.mean(part[:2]) - part[2]) and rank["n"] == 70
    assert rank["low"] < rank["difference"] < rank["high"] and rank["p"] < 0.05
    assert told_of["spearman_expected"]["n"] == PICTURES and told_of["wellformed"]["difference"] == pytest.approx(1 / 8)
    assert set(told_of) >= {"consistency_spearman", "consistency_mae", "consistency_spearman@judge=vlm", "score_bias"}
    assert set(rank) == {"a", "b", "metric", "clustered_by", "difference", "low", "high", "p", "n", "seeds"}
    assert rank["seeds"] == 2 == merged["spearman"]["seeds"]


def test_arms_are_compared_over_the_seeds_that_both_have() -> None:
    """Another seed of one arm alone would make the difference one of seeds."""
    merged = [told(arm="merged", seed=seed, draw=seed + 1, noise=0.3 + seed) for seed in (0, 1)]
    linear = told(arm="linear", seed=0, draw=1, noise=0.3)  # as seed 0 of the other
    other = told(arm="other", seed=7, draw=2)
    found = measured(*merged, linear, other, told(), best="merged")["comparisons"]
    by = {(one["b"], one["metric"]): one for one in found if one["a"] == "merged"}
    assert by["linear", "spearman"]["difference"] == 0 and by["linear", "spearman"]["seeds"] == 1
    assert by["linear", "wellformed"]["difference"] == 0
    assert by["base", "spearman"]["seeds"] == 2 and ("other", "spearman") not in by


def test_judges_that_are_kin_are_told_for_themselves() -> None:
    one = told()
    alone = measured(one, kin=["vlm"])["arms"]["base"]
    assert alone["consistency_spearman"]["value"] == alone["consistency_spearman@judge=llm"]["value"]
    assert alone["consistency_mae"]["value"] == alone["consistency_mae@judge=llm"]["value"]
    assert "consistency_spearman@judge=vlm" in alone


def test_best_meets_every_other_arm_and_every_arm_meets_base() -> None:
    arms = [told(arm=arm, draw=at) for at, arm in enumerate(("scoring", "base", "merged"))]
    pairs = [(one["a"], one["b"]) for one in measured(*arms, best="merged")["comparisons"]]
    assert list(dict.fromkeys(pairs)) == [("scoring", "base"), ("merged", "base"), ("merged", "scoring")]
    assert {(one["a"], one["b"]) for one in measured(*arms)["comparisons"]} == {("scoring", "base"), ("merged", "base")}
    with pytest.raises(ValueError, match="best: 'other' is no arm"):
        measured(*arms, best="other")
    with pytest.raises(ValueError, match="two rows for picture 'p0'"):
        measured(told(), told())


def test_one_score_for_all_and_no_reply_at_all_are_nulls_with_a_reason() -> None:
    flat = told(arm="flat", explained_score=8.0, explained_expected=8.0)
    none = told(arm="none", explained_score=None, explained_explanation=None, guess_llm=None, guess_vlm=None)
    unread = told(arm="unread", explained_reply=None, **dict.fromkeys(FLOATS[1:]), explained_explanation=None)
    odd = told(arm="odd", explained_expected=[math.nan, *[None] * 4, *range(1, 76)])
    found = measured(told(), flat, none, unread, odd)["arms"]
    for metric in ("spearman", "pearson", "spearman_expected", "consistency_spearman"):
        assert found["flat"][metric]["value"] is None
    assert found["flat"]["spearman"]["reason"] == "every score is 8"
    assert found["flat"]["spearman_expected"]["reason"] == "every expected score is 8"
    assert found["flat"]["mode_share"]["value"] == 1 and found["flat"]["top_share"]["value"] == 0
    assert found["none"]["wellformed"]["value"] == 0 and found["none"]["spearman"]["nulls"] == PICTURES
    assert found["none"]["spearman_expected"]["value"] > 0.9  # a line's probability needs no well-formed reply
    assert found["none"]["mode_share"]["value"] is found["none"]["distinct_explanations"]["value"] is None
    assert found["unread"]["wellformed"]["value"] is None and found["unread"]["wellformed"]["nulls"] == PICTURES
    assert found["odd"]["spearman_expected"]["n"] == 75
    assert "reason" not in found["base"]["spearman"]


def test_texts_are_as_different_as_their_words() -> None:
    assert distinct_share(["The light, is right.", "the light is right", "dull"]) == pytest.approx(2 / 3)
    assert trigram_share(["a b c d", "a b c", "x"]) == pytest.approx(2 / 3)
    assert distinct_share([]) is trigram_share(["a b"]) is trigram_share([]) is None


def arm(**values: float | None) -> dict[str, dict[str, Any]]:
    fine = {"wellformed": 0.99, "mode_share": 0.3, "distinct_explanations": 0.8, "distinct_trigrams": 0.4}
    return {name: {"value": value} for name, value in (fine | values).items()}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, None),
        ({"wellformed": 0.4}, "40 % of its replies have the form that was asked for; the limit is 80 %"),
        ({"wellformed": None}, "it wrote no reply at all"),
        ({"mode_share": 0.97}, "97 % of its scores are one and the same; the limit is 90 %"),
        ({"mode_share": None, "distinct_trigrams": None}, None),
        (
            {"distinct_explanations": 0.1},
            "10 % of its explanations are different, of the base's 80 %; the limit is 25 %",
        ),
        ({"distinct_trigrams": 0.01}, "1 % of its runs of three words are different, of the base's 40 %"),
    ],
)
def test_a_collapse_is_told_in_a_sentence(values: dict[str, float | None], reason: str | None) -> None:
    told = collapsed(arm(**values), arm())
    assert told is None if reason is None else told.startswith(reason)


def test_what_was_no_better_before_is_no_collapse_and_limits_are_settings() -> None:
    poor = arm(wellformed=0.5, mode_share=0.95, distinct_explanations=0.1)
    assert collapsed(arm(wellformed=0.6, mode_share=0.92, distinct_explanations=0.09), poor) is None
    assert collapsed(arm(wellformed=0.4), poor).startswith("40 %")
    assert collapsed(poor).startswith("50 %")  # the base itself: a model that cannot follow the form
    assert collapsed(arm(distinct_explanations=0.01)) is None
    assert collapsed(arm(wellformed=0.6), arm(), Limits(wellformed=0.5)) is None
    assert collapsed(arm(mode_share=0.5), arm(), Limits(one_score=0.4)).startswith("50 % of its scores")
    with pytest.raises(ValueError, match="diversity: 1.5 is not accepted; expected 0 to 1"):
        Limits(diversity=1.5)


def test_what_is_measured_is_what_collapse_reads() -> None:
    found = measured(told(), told(arm="t1", explained_score=10.0, explained_explanation="fine."))["arms"]
    assert collapsed(found["base"], found["base"]) is None
    assert collapsed(found["t1"], found["base"]) == "100 % of its scores are one and the same; the limit is 90 %"
