"""Names of score_and_explain's arms: what is accepted, how each is merged, what stands behind it."""

from __future__ import annotations

import pytest

from tamis.config import ConfigError
from tamis.score_and_explain.arm_forms import iteration_of, parse, refuse_unfit, rivals
from tamis.training.merge import Merge


def test_ways_to_merge_are_read_from_names() -> None:
    assert parse("merged").merge is None and parse("merged").merged
    assert parse("merged.linear").merge == Merge(kind="linear")
    assert parse("merged.ties-0.2").merge == Merge(kind="ties", density=0.2)
    assert parse("merged.ties-factors-1").merge == Merge(kind="ties_factors", density=1.0)
    assert parse("merged.exact").exact and parse("merged.exact").merge is None
    assert not parse("scoring").merged


@pytest.mark.parametrize(
    "name", ["merge", "merged.", "merged.ties", "merged.ties-0", "merged.ties-1.5", "merged.linear-0.5", "dpo", ""]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not accepted"):
        parse(name)


def test_iterations_stand_behind_all_but_the_base() -> None:
    assert parse("base").at(3) == "base" and iteration_of("base") == ("base", 0)
    assert parse("merged.ties-0.2").at(3) == "merged.ties-0.2.iteration-3"
    assert iteration_of("merged.ties-0.2.iteration-3") == ("merged.ties-0.2", 3)


def test_every_seed_needs_what_it_goes_on_from() -> None:
    main = [parse("base"), parse("merged")]
    refuse_unfit({0: main, 1: [parse("merged")]})
    for other, told in (([parse("scoring")], "merged is not among them"), (main, "base: has no seed")):
        with pytest.raises(ConfigError, match=told):
            refuse_unfit({0: main, 1: other})


def test_the_last_merged_model_meets_its_iteration_and_its_own_past() -> None:
    arms = ["base", *(f"{arm}.iteration-{at}" for at in (1, 2, 3) for arm in ("scoring", "merged", "merged.linear"))]
    met = ["merged.iteration-1", "scoring.iteration-2", "merged.iteration-2", "merged.linear.iteration-2"]
    assert rivals("merged.iteration-2", arms) == met
