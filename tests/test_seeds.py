"""Seeds: the same for the same thing, on every machine; others for all others."""

from __future__ import annotations

from tamis.seeds import seed_of


def test_seeds_of_different_things_differ() -> None:
    told = [("step", 0, "a", 1), ("step", 0, "a", 2), ("step", 0, "b", 1), ("order", 0, "a", 1), ("step", 1, "a", 1)]
    assert len({seed_of(*one) for one in told}) == len(told)
    assert all(0 <= seed_of(*one) < 2**63 for one in told)  # what a torch.Generator takes
    assert seed_of("a", "bc") != seed_of("ab", "c") and seed_of(1) != seed_of("1")


def test_a_pictures_seed_follows_from_what_it_is_of() -> None:
    seeds = {seed_of(topic, style, turn, 0, bits=48) for topic in "abc" for style in "de" for turn in range(50)}
    assert len(seeds) == 300 and min(seeds) >= 0 and max(seeds) < 2**48
    assert seed_of("dax", "photo", 0, 1, bits=48) == seed_of("dax", "photo", 0, 1) >> 15 == 98_923_660_299_841
