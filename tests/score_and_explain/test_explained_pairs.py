"""Pairs hold what was said, word for word; rows in are rows used and rows left out; a text argues or it does not."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hostile import HOSTILE

from tamis.config import ConfigError
from tamis.score_and_explain.fitness import left_out
from tamis.score_and_explain.justified import argues, justified
from tamis.score_and_explain.pairs import Pairs, pair_features, pairs
from tamis.score_and_explain.replies import parse
from tamis.score_and_explain.sheets import examples

GOOD, BAD = "the light is right, the ground is calm.", "the light is wrong, the thing is covered."
TOLD = [
    (7, 2, GOOD, BAD),
    (3, 10, BAD, GOOD),
    (5, 1, GOOD, None),
    (5, 8, "no end", BAD),
    (9, 4, HOSTILE[2] + ".", "{{ 7 }} | =1+1."),
]


def explained(jpeg: Any, told: Any = TOLD) -> Any:
    from datasets import Dataset, Features, Image, Value

    features = Features(
        {"row_id": Value("string"), "image": Image(decode=False)}
        | dict.fromkeys(("score", "wrong_score"), Value("int64"))
        | dict.fromkeys((f"self_explanation_{what}" for what in ("true", "wrong", "error")), Value("string"))
    )
    rows = [(f"row-{at}", {"bytes": jpeg(at), "path": None}, *row, None) for at, row in enumerate(told)]
    return Dataset.from_dict(dict(zip(features, map(list, zip(*rows, strict=True)), strict=True)), features=features)


@pytest.fixture
def made(jpeg) -> Pairs:
    rows = explained(jpeg)
    reasons = left_out(rows["self_explanation_true"][:], rows["self_explanation_wrong"][:], generic_share=1.0)
    return pairs(rows, reasons, prompt="explain 1 to 10", iteration=3)


def _said(row: dict[str, Any], column: str) -> str:
    [message] = row[column]
    assert message["role"] == "assistant"
    return message["content"]


def test_both_sets_say_what_was_said_and_differ_in_the_score_line_alone(made: Pairs, jpeg) -> None:
    used = [TOLD[0], TOLD[1], TOLD[4]]
    assert len(made) == 3 and made.scoring.column_names == made.consistency.column_names
    for scoring, contrast, taught, (score, wrong, true, false) in zip(
        made.scoring, made.consistency, made.taught, used, strict=True
    ):
        assert parse(_said(scoring, "chosen")) == parse(_said(contrast, "chosen")) == (score, true)
        assert parse(_said(scoring, "rejected")) == (wrong, false)
        assert parse(_said(contrast, "rejected")) == (score, false)
        assert taught["completion"] == scoring["chosen"]
        assert scoring["prompt"] == taught["prompt"] == [{"role": "user", "content": "explain 1 to 10"}]
        told = {"score": score, "wrong_score": wrong, "iteration": 3}
        told |= {"explanation_true": true, "explanation_wrong": false}
        for row in (scoring, contrast):
            assert {name: row[name] for name in told} == told
            assert row["image"]["bytes"] == jpeg(int(row["row_id"].removeprefix("row-")))


def test_rows_in_are_rows_used_and_rows_left_out(made: Pairs) -> None:
    assert len(made) + sum(made.left_out.values()) == len(TOLD)
    assert made.left_out == {
        "wrong score: nothing was written": 1,
        "true score: no end of a sentence: cut off": 1,
    }
    assert made.scoring["row_id"][:] == made.consistency["row_id"][:] == made.taught["row_id"][:]


def test_without_an_iteration_there_is_no_such_column(jpeg) -> None:
    made = pairs(explained(jpeg), [None, None, "x", "x", None], prompt="p")
    assert (
        set(made.scoring.column_names) == {"image", *pair_features()} and "iteration" not in made.scoring.column_names
    )
    assert made.scoring["score"][:] == [7, 3, 9] and made.left_out == {"x": 2}


def test_they_are_written_as_they_are_and_read_again(made: Pairs, tmp_path) -> None:
    from datasets import Dataset

    made.consistency.to_parquet(str(tmp_path / "pairs.parquet"))
    assert Dataset.from_parquet(str(tmp_path / "pairs.parquet"))[:] == made.consistency[:]


def test_nothing_to_pair_and_reasons_of_other_rows_are_refused(jpeg) -> None:
    rows = explained(jpeg)
    with pytest.raises(ConfigError, match="self_explanation: no row has two explanations"):
        pairs(rows, ["x"] * 5, prompt="p")
    with pytest.raises(ValueError, match="4 reasons for 5 rows"):
        pairs(rows, [None] * 4, prompt="p")
    with pytest.raises(ValueError, match="4 reasons for 5 rows"):
        examples(rows, [None] * 4)


def test_what_is_trained_begins_with_the_very_tokens_that_were_asked(made: Pairs) -> None:
    """The model is asked with the score given: a pair in other tokens would teach another beginning."""
    from PIL import Image
    from transformers import AutoProcessor

    from tamis import models
    from tamis.judge import Ask, LocalJudge
    from tamis.judge.writing import inputs_of
    from tamis.score_and_explain.replies import begun
    from tamis.training.dpo_rows import tokens

    judge, image = LocalJudge("tiny/vlm"), Image.new("RGB", (64, 64))
    processor = AutoProcessor.from_pretrained("tiny/vlm")
    for row in made.scoring:
        [asked] = row["prompt"]
        ask = Ask(asked["content"], (image,), begun=begun(row["score"]))
        ids = inputs_of(judge._loaded(), ask, 10**6)["input_ids"][0].tolist()
        trained = tokens(processor, row, image)
        assert (trained["prompt_ids"] + trained["chosen_ids"])[: len(ids)] == ids
    models.release()


@pytest.mark.parametrize(
    ("guess", "given", "other", "value"),
    [(2, 2, 7, 1.0), (4.4, 2, 7, 1.0), (4.5, 2, 7, 0.5), (4.6, 2, 7, 0.0), (1, 2, 7, 1.0), (10, 2, 7, 0.0)],
)
def test_a_text_argues_for_the_score_that_its_guess_is_nearer_to(guess, given, other, value) -> None:
    assert argues(guess, given, other) == value
    assert argues(guess, other, given) == 1 - value


def test_the_share_is_of_texts_that_were_guessed_at() -> None:
    assert argues(None, 2, 7) is None and argues(float("nan"), 2, 7) is None and argues(3, None, 7) is None
    share = justified([2, 7, 4.5, None], [2, 2, 2, 2], [7, 7, 7, 7])
    assert (share.value, share.n, share.nulls) == (0.5, 3, 1)
    with pytest.raises(ValueError, match="longer than"):
        justified([2], [2, 3], [7, 8])
    assert justified([], [], []).value is None


def test_a_judge_that_guesses_one_number_gets_two_shares_that_sum_to_one() -> None:
    draw = np.random.default_rng(0)
    scores, wrong = draw.integers(1, 6, 500).tolist(), draw.integers(6, 11, 500).tolist()
    for guess in (1, 4.0, 5.5, 8):
        false, true = justified([guess] * 500, wrong, scores), justified([guess] * 500, scores, wrong)
        assert false.value + true.value == pytest.approx(1)


def test_a_sheet_shows_used_and_left_out(jpeg) -> None:
    from PIL import Image, ImageColor

    def coloured(png: bytes, colour: str) -> int:
        shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        return int((shown == ImageColor.getrgb(colour)).all(axis=-1).sum())

    told = [*TOLD, *((4, 9, text, text) for text in HOSTILE), (4, 9, "w" * 9000, "\x00" * 50)]
    rows = explained(jpeg, told)
    reasons = [None if at % 2 else "names a score" for at in range(len(told))]
    png = examples(rows, reasons)
    assert png.startswith(b"\x89PNG") and png == examples(rows, reasons)
    assert coloured(png, "#1b7f5c") > 100 and coloured(png, "#b4452f") > 100 and coloured(png, "#6b7280") > 30
    used = examples(rows, [None] * len(told))
    assert coloured(used, "#6b7280") < 5
    few, more = (examples(rows, ["x"] * len(told), each=each) for each in (1, 9))
    assert Image.open(io.BytesIO(few)).width < Image.open(io.BytesIO(more)).width
    assert examples(rows.select([]), []).startswith(b"\x89PNG")
