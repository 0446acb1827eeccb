"""A judge's caption of a picture, and how near it is to the text that the picture was made for."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from quizzes import TINY, commons

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
