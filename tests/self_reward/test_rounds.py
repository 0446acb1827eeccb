"""What a round generates, and when rounds end."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from tamis.generate import WEIGHTS
from tamis.self_reward.rounds import collapsed, to_generate

PROMPTS = Dataset.from_list(
    [
        {"prompt_id": "moon-1", "class": "moon", "prompt": "a moon", "complexity": "plain", "use": "train"},
        {"prompt_id": "moon-2", "class": "moon", "prompt": "a red moon", "complexity": "plain", "use": "heldout"},
        {"prompt_id": "arrow-1", "class": "arrow", "prompt": "an arrow", "complexity": "plain", "use": "train"},
    ]
)


def test_every_prompt_that_is_trained_on_is_drawn_from_noise_that_no_round_changes(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    first = to_generate(PROMPTS, 3, number=1, seed=0, wearing={})
    second = to_generate(PROMPTS, 3, number=2, seed=0, wearing={"moon": tmp_path, "arrow": tmp_path})
    assert first["row_id"][:] == [f"{name}-round-1-{turn}" for name in ("moon-1", "arrow-1") for turn in range(3)]
    assert first["prompt"][:] == ["a moon"] * 3 + ["an arrow"] * 3 and set(first["round"]) == {"round-1"}
    assert first["image_seed"][:] == second["image_seed"][:] and len(set(first["image_seed"])) == 6
    assert set(first["adapter"]) == {""} and set(second["adapter"]) == {str(tmp_path)}
    assert to_generate(PROMPTS, 3, number=1, seed=1, wearing={})["image_seed"][:] != first["image_seed"][:]


@pytest.mark.parametrize(
    ("by_round", "ends"),
    [
        ([0.5], False),
        ([0.5, 0.36], False),
        ([0.5, 0.34], True),
        ([0.5, 0.45, 0.34], True),
        ([0.5, 0.6], False),
        ([None, 0.1], False),
        ([0.5, None], False),
        ([0.0, 0.0], False),
    ],
)
def test_rounds_end_where_the_pictures_become_one(by_round: list[float | None], ends: bool) -> None:
    said = collapsed(by_round, 0.3)
    assert (said is not None) == ends
    if ends:
        assert said.startswith(
            f"diversity fell from 0.500 to 0.340 in round {len(by_round)}, by 32% (30% are accepted)"
        )
