"""Replies begun in several ways to one picture: read once, and written as if each were the only one."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_writing import SETTINGS

from tamis.judge import Ask
from tamis.judge.branches import Branches
from tamis.judge.writing import write

ASKED = "explain 1 to 10"
BEGUN = ("#Score: 3\n#Explanation:", "#Score: 10\n#Explanation:", "#Score: 7\n#Explanation:")
SEEING = ("vlm", "qwen2_5_vl", "qwen3_vl", "gemma3")


def _asks(picture: Any) -> list[Ask]:
    """Pictures of several sizes, two or three replies to each; between them asks that share nothing."""
    shown = [picture(seed, 48 + 32 * (seed % 2), 48 + 16 * (seed % 3)) for seed in range(5)]
    asks = [Ask(ASKED, (image,), begun) for image in shown for begun in BEGUN[: 2 + (image is shown[0])]]
    asks += [Ask("which?", (shown[0], shown[1]), "a"), Ask("which?", (shown[0], shown[1]), "a red"), Ask("what?")]
    asks += [Ask("what is it?", (shown[2],)), Ask("what is it?", (shown[2],), "a red star"), Ask(ASKED, (shown[4],))]
    return asks[::2] + asks[1::2]


@pytest.mark.parametrize("name", SEEING)
def test_shared_and_alone_the_same_is_written(name: str, judge, unshared, picture) -> None:
    loaded, asks = judge(name), _asks(picture)
    alone = [text for ask in asks for text in write(loaded, [ask], **SETTINGS)]
    assert write(loaded, asks, **SETTINGS) == alone
    assert write(unshared(loaded), asks, **SETTINGS) == alone
    assert write(loaded, asks, **SETTINGS | {"batch_size": 2}) == alone
    assert write(loaded, asks, **SETTINGS | {"tokens": 1}) == alone
    assert write(loaded, asks[::-1], **SETTINGS) == alone[::-1]
    assert len(set(alone)) > 6


@pytest.mark.parametrize("name", SEEING)
def test_a_picture_is_looked_at_once(name: str, judge, unshared, picture, monkeypatch) -> None:
    loaded = judge(name)
    backbone, seen = loaded.model.base_model, []
    look = backbone.get_image_features

    @functools.wraps(look)  # `generate` asks for its parameters
    def counted(pixel_values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(len(pixel_values))  # pictures, or patches of them
        return look(pixel_values, *args, **kwargs)

    monkeypatch.setattr(backbone, "get_image_features", counted)
    asks = [Ask(ASKED, (image,), begun) for image in (picture(0), picture(1)) for begun in BEGUN]
    write(loaded, asks, **SETTINGS)
    shared = sum(seen)
    seen.clear()
    write(unshared(loaded), asks, **SETTINGS)
    assert sum(seen) == len(BEGUN) * shared > 0


def test_pictures_that_only_look_alike_share_nothing_and_lose_nothing(judge, picture) -> None:
    loaded = judge("vlm")
    twice = [Ask(ASKED, (picture(0),), BEGUN[0]), Ask(ASKED, (picture(0),), BEGUN[1])]
    once = [replace(ask, images=twice[0].images) for ask in twice]
    assert write(loaded, twice, **SETTINGS) == write(loaded, once, **SETTINGS)


def test_a_begun_reply_is_never_part_of_what_is_written_and_takes_no_room(judge, picture) -> None:
    """The longest beginning is many tokens longer than the shortest: each reply still has all its own tokens."""
    loaded = judge("vlm")
    begun = ("a", "a red star on the left of " * 3, "a red")
    asks = [Ask(ASKED, (picture(0),), one) for one in begun]
    for most in (1, 3, 12):
        settings = SETTINGS | {"max_new_tokens": most}
        assert write(loaded, asks, **settings) == [write(loaded, [ask], **settings)[0] for ask in asks]


def test_sampling_shared_is_by_seed(judge, picture) -> None:
    loaded, asks = judge("vlm"), [Ask(ASKED, (picture(seed),), begun) for seed in range(3) for begun in BEGUN[:2]]
    settings = SETTINGS | {"temperature": 1.0}
    first = write(loaded, asks, **settings)
    assert write(loaded, asks, **settings) == first
    assert write(loaded, asks, **settings | {"seed": 1}) != first
    same = [Ask(ASKED, (asks[0].images[0],), BEGUN[0])] * 2
    one, other = write(loaded, same, **settings)
    assert one != other  # each reply is drawn for itself


def test_branches_leave_a_token_to_be_read() -> None:
    assert Branches.of([[1, 2, 3, 4], [1, 2, 5]]) == Branches(2, ((3, 4), (5,)))
    assert Branches.of([[1, 2, 3], [1, 2, 3]]) == Branches(2, ((3,), (3,)))
    assert Branches.of([[1, 2, 3], [1, 2, 3, 4]]) == Branches(2, ((3,), (3, 4)))
    assert Branches.of([[1], [2]]) == Branches(0, ((1,), (2,)))
