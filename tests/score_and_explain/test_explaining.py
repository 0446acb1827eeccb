"""One iteration's pictures: which are drawn, which wrong scores they get, what becomes of their texts."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from datasets import Dataset, Image, Value
from PIL import Image as Pictures

from tamis.config import ConfigError
from tamis.score_and_explain import explaining

CONFIG = SimpleNamespace(pictures_per_iteration=None, exclusion_radius=2, generic_share=0.9, least_usable=0.1)


def picture(number: int) -> dict[str, bytes]:
    buffer = io.BytesIO()
    Pictures.new("RGB", (4, 4), (number, 0, 0)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.fixture
def train() -> Dataset:
    told = {"row_id": [f"p{at}" for at in range(40)], "score": [1 + at % 10 for at in range(40)]}
    rows = Dataset.from_dict(told | {"image": [picture(at) for at in range(40)]})
    return rows.cast_column("image", Image(decode=False))


def explained(rows: Dataset, true: list[str | None], wrong: list[str | None], guesses: tuple[float, float]) -> Dataset:
    told = {"self_explanation_true": true, "self_explanation_wrong": wrong}
    told |= {"self_explanation_error": [None if one else "image: broken" for one in true]}
    told |= {
        f"argued_{side}_score": [guess] * len(rows) for side, guess in zip(("true", "wrong"), guesses, strict=True)
    }
    told |= {f"argued_{side}_error": [None] * len(rows) for side in ("true", "wrong")}
    for name, values in told.items():
        rows = rows.add_column(name, values, feature=Value("string") if name.endswith("_error") else None)
    return rows


def test_pictures_are_drawn_by_iteration_and_seed(train: Dataset) -> None:
    config = SimpleNamespace(**vars(CONFIG) | {"pictures_per_iteration": 15})
    drawn = {of: explaining.to_explain(train, *of, config) for of in ((1, 0), (2, 0), (1, 1))}
    assert all(len(rows) == 15 and rows._indices is None for rows in drawn.values())
    assert len({tuple(rows["row_id"][:]) for rows in drawn.values()}) == 3
    again = explaining.to_explain(train, 1, 0, config)
    assert again["row_id"][:] == drawn[1, 0]["row_id"][:] and again["wrong_score"][:] == drawn[1, 0]["wrong_score"][:]
    everyone = explaining.to_explain(train, 1, 0, CONFIG)
    assert everyone["row_id"][:] == train["row_id"][:]
    told = zip(everyone["score"][:], everyone["wrong_score"][:], strict=True)
    assert all(abs(score - wrong) >= 2 and 1 <= wrong <= 10 for score, wrong in told)


def test_every_row_is_a_pair_or_has_a_reason(train: Dataset) -> None:
    asked = explaining.to_explain(train, 2, 7, CONFIG)
    true = [f"The light falls on {'stone' * (1 + at % 9)} and {at * 'x'} it holds." for at in range(40)]
    wrong = [f"Nothing in this frame {'works' * (1 + at % 7)} for {at * 'y'} me." for at in range(40)]
    true[3], true[5], wrong[8] = None, "It earns a 7 out of 10.", "no end to this"
    rows = explained(asked, true, wrong, (9.0, 1.0))
    unread = rows.select_columns([name for name in rows.column_names if not name.startswith("argued")])
    made = explaining.weighed(explaining.paired(unread, 2, 7, "how good?", CONFIG), rows.select(range(10, 30)))
    reasons = made.reasons
    assert len(reasons) == 40 == len(made.pairs) + sum(made.pairs.left_out.values())
    assert reasons[3] == "image: broken" and reasons[5] and reasons[8]
    kept = [row_id for row_id, reason in zip(asked["row_id"][:], reasons, strict=True) if reason is None]
    assert made.pairs.scoring["row_id"][:] == made.pairs.consistency["row_id"][:] == kept
    told = made.told()
    assert told["argued"]["wrong"]["n"] == told["argued"]["true"]["n"] == 20
    assert made.rows["argued_true_error"][0] == "not drawn to be read by judges"
    assert (told["iteration"], told["seed"], told["pictures"], told["usable"]) == (2, 7, 40, len(kept))
    assert f"{len(kept)} of 40 pictures make a pair" in made.said() and "image: broken" in made.said()


def test_too_few_pairs_end_it_with_what_was_written(train: Dataset) -> None:
    asked = explaining.to_explain(train, 1, 0, CONFIG)
    rows = explained(asked, ["cut"] * 40, ["off"] * 40, (5.0, 5.0))
    with pytest.raises(ConfigError, match="0 of 40 pictures have explanations that can be used"):
        explaining.paired(rows, 1, 0, "how good?", CONFIG)
    told = explaining.paired(rows, 2, 0, "how good?", CONFIG)  # what came before is not lost
    assert "0 of 40 pictures have explanations that can be used" in told


def test_words_to_time_a_training_with(train: Dataset) -> None:
    rows = explaining.untried(explaining.to_explain(train.select(range(4)), 1, 0, CONFIG), "how good?")
    assert len(rows) == 4 and {"image", "prompt", "chosen", "rejected"} <= set(rows.column_names)
