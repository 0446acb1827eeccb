"""A judge's caption of a picture, and how near it is to the text that the picture was made for."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value, concatenate_datasets
from quizzes import TINY, commons

from tamis import scorers
from tamis.config import ConfigError
from tamis.scorers.caption import Caption
from tamis.scorers.embedding import Embedding
from tamis.scorers.text_similarity import TextSimilarity
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")


def test_captions_say_what_is_there_and_are_near_the_right_text(run) -> None:
    rows = commons(24, typical=True).select_columns(["image", "description", "truth_colour"]).flatten_indices()
    spoilt = Dataset.from_dict(
        {"image": [{"bytes": b"no", "path": None}], "description": ["a"], "truth_colour": [None]},
        features=rows.features,
    )
    told = attach_scores(concatenate_datasets([rows, spoilt]), Caption(TINY, wording="short"), run=run)
    assert told[24]["caption_text"] is None and told[24]["caption_error"].startswith("image: ")
    told = told.select(range(24))
    right = [colour in text.split() for colour, text in zip(told["truth_colour"], told["caption_text"], strict=True)]
    assert np.mean(right) > 0.85 and all("\n" not in text for text in told["caption_text"])
    described = told["description"][:]
    told = told.add_column("other", described[11:] + described[:11])
    near = TextSimilarity(model="tiny/clip", text_column="caption_text", other_column="description")
    far = TextSimilarity(name="far", model="tiny/clip", text_column="caption_text", other_column="other")
    scored = attach_scores(attach_scores(told, near, run=run), far, run=run, batch_size=5)
    assert np.mean(scored["text_similarity_cosine"]) > np.mean(scored["far_cosine"]) + 0.1


def test_what_is_asked_decides_what_is_said(run) -> None:
    """A general caption, and for each sub-task what it is about; the batch does not matter."""
    from datasets import load_dataset

    rows = load_dataset("tiny/pool", "LLaVA-1.5-mix", split="train[:48]").cast_column("image", Image(decode=False))
    rows = rows.filter(lambda row: row["image"] is not None).select_columns(["image", "truth_task"]).flatten_indices()
    general = Caption(TINY, "general_caption", asked="scale/general_caption", wording="short")
    by_task = Caption(TINY, "task_caption", task_column="truth_task", wording="short")
    told = attach_scores(attach_scores(rows, general, run=run, batch_size=8), by_task, run=run, batch_size=8)
    assert told["general_caption_error"][:] == told["task_caption_error"][:] == [None] * len(rows)
    assert np.mean(["the picture is" in text for text in told["general_caption_text"]]) > 0.9
    opening = {"image_style": "it is a", "image_scene": "the ground is", "image_topic": "it shows"}
    of_task = [row for row in told if row["truth_task"] in opening]
    assert len({row["truth_task"] for row in of_task}) == 3
    right = [row["task_caption_text"].startswith(opening[row["truth_task"]]) for row in of_task]
    assert np.mean(right) > 0.85
    single = Caption(TINY, "alone", task_column="truth_task", wording="short")
    alone = attach_scores(rows.select(range(6)), single, run=run, batch_size=1)
    assert alone["alone_text"][:] == told["task_caption_text"][:6]


def test_no_caption_without_a_sub_task_or_a_picture(run) -> None:
    picture = commons(1, typical=True)[0]["image"]
    cells = [(picture, "ocr"), (picture, None), (picture, "image_emotion"), (picture, "../quiz/write"), (None, "ocr")]
    cells += [({"bytes": b"<html>", "path": None}, "ocr"), (None, None), (picture, "")]
    told = dict(zip(("image", "task"), map(list, zip(*cells, strict=True)), strict=True))
    rows = Dataset.from_dict(told, features=Features({"image": Image(decode=False), "task": Value("string")}))
    made = attach_scores(rows, Caption(TINY, task_column="task", wording="short"), run=run)
    none = "no sub-task"
    assert made["caption_error"][:] == [None, none, none, none, "image: null", "image: not an image", none, none]
    assert made["caption_text"][0] and made["caption_text"][1:] == [None] * 7


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"asked": "quiz/write"}, "asked: 'quiz/write' is not accepted; expected a prompt that takes no variables"),
        ({"asked": "scale/caption"}, "asked: 'scale/caption' is not accepted"),
        ({"asked": "scale/general_caption", "task_column": "task"}, "asked: 'scale/general_caption'; with a task_col"),
        ({"wording": "long"}, "no wording 'long'"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_refused_by_name(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        scorers.build([{"scorer": "caption", "judge": TINY} | settings])


def test_one_text_is_as_near_as_can_be_to_itself_and_none_to_nothing(run) -> None:
    rows = Dataset.from_dict(
        {"text": ["a red star", "a red star", None, "x"], "prompt": ["a red star", "a blue ring", "a", " "]}
    )
    scored = attach_scores(rows, TextSimilarity(model="tiny/clip"), run=run)
    same, other, *none = scored["text_similarity_cosine"]
    assert same == pytest.approx(1.0, abs=1e-5) and other < 0.95 and none == [None, None]
    assert scored["text_similarity_error"][:] == [None, None, "text: null", "prompt: empty"]


def test_sentence_transformers_give_the_cosine_of_their_vectors(run, embedder_folder) -> None:
    texts = {"text": ["a red dog", "the circle", "no"], "prompt": ["a red dog", "green", "the blue square"]}
    rows = Dataset.from_dict(texts)
    scored = attach_scores(rows, TextSimilarity(model=str(embedder_folder)), run=run)
    one, other = (
        np.asarray(
            attach_scores(rows, Embedding(name=name, model=str(embedder_folder), text_column=name), run=run)[
                f"{name}_vector"
            ][:]
        )
        for name in texts
    )
    assert scored["text_similarity_cosine"][:] == pytest.approx((one * other).sum(axis=1), abs=1e-5)
