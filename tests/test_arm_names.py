"""Names of arms: what is read in them, and what is no name."""

from __future__ import annotations

import pytest

from tamis.arm_names import Arm, contests, headline, largest
from tamis.config import ConfigError
from tamis.topic_arms import FORMS


@pytest.mark.parametrize(
    ("name", "arm"),
    [
        ("none", Arm("none", "none")),
        ("top-15", Arm("top-15", "top", 15)),
        ("random-3.2", Arm("random-3.2", "random", 3, 2)),
        ("top-2.matched", Arm("top-2.matched", "top", 2, marks=frozenset({"matched"}))),
        ("full.weaker", Arm("full.weaker", "full", marks=frozenset({"weaker"}))),
        (
            "random-1.1.matched.weaker",
            Arm("random-1.1.matched.weaker", "random", 1, 1, frozenset({"matched", "weaker"})),
        ),
        ("top-spread", Arm("top-spread", "top-spread")),
    ],
)
def test_names_are_read(name: str, arm: Arm) -> None:
    assert FORMS.parse(name) == arm


@pytest.mark.parametrize(
    "name", ["top", "top-0", "top-02", "top-5.1", "full.2", "none.matched", "top-5.weaker.matched", "Top-5", "top-5 "]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"arms: {name!r} is not accepted; expected none, full, top-spread, top-K"):
        FORMS.parse(name)


def test_random_arms_have_draws_that_are_pooled() -> None:
    names = [arm.name for arm in FORMS.expand(["none", "random-1", "random-1", "random-1.1", "random-1.matched"], 2)]
    assert names == ["none", "random-1.1", "random-1.2", "random-1.1.matched", "random-1.2.matched"]
    assert [FORMS.parse(name).pooled for name in names] == ["none", "random-1", "random-1", *["random-1.matched"] * 2]
    assert (
        largest(FORMS.expand(["none", "full"], 1)) == 0
        and largest(FORMS.expand(["top-2", "random-9", "top-spread"], 1)) == 9
    )


@pytest.mark.parametrize(
    ("names", "best", "rivals"),
    [
        (
            ["none", "top-2", "random-9", "bottom-9", "top-9", "top-30.matched"],
            "top-9",
            ["none", "random-9", "bottom-9"],
        ),
        (["none", "random-5"], "random-5", ["none"]),
        (["none", "full"], "full", ["none"]),
        (["top-1", "top-3"], "top-3", ["none"]),  # which is drawn though nobody listed it
    ],
)
def test_the_claims_arm_meets_its_equals_in_number(names: list[str], best: str, rivals: list[str]) -> None:
    arms = FORMS.expand(names, 2)
    assert headline(arms) == best
    assert [pair for pair in contests(arms) if pair[1] != "full"] == [(best, rival) for rival in rivals]
