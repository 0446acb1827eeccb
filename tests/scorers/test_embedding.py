"""Embeddings by SentenceTransformer, against the models below it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tamis import scorers
from tamis.config import ConfigError
from tamis.scorers.embedding import Embedding
from tamis.scoring import attach_scores
from tamis.select import diverse

TEXTS = ["a red dog", "the photo of a circle on the blue square", "no", "a red dog", "green green green", "the circle"]


@pytest.fixture(scope="session")
def dataset(dataset_of, encoded, scenes):
    return dataset_of([encoded(scene) for scene in scenes[:6]], text=TEXTS)


def test_text_vectors_are_the_mean_of_berts_states_at_length_one(run, embedder_folder, dataset):
    from transformers import AutoTokenizer, BertModel

    scored = attach_scores(dataset, Embedding(model=str(embedder_folder)), run=run, batch_size=4)
    tokens = AutoTokenizer.from_pretrained(embedder_folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = BertModel.from_pretrained(embedder_folder).eval()(**tokens).last_hidden_state
        mask = tokens.attention_mask[..., None]
        means = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    vectors = np.asarray(scored["embedding_vector"][:])
    np.testing.assert_allclose(vectors, means, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert str(scored.features["embedding_vector"]) == "List(Value('float32'))"
    assert scored["embedding_error"] == [None] * 6
    assert set(diverse(scored, "embedding_vector", k=5)["text"]) == set(TEXTS)  # the twin is what it leaves out


def test_image_vectors_are_those_of_the_image_tower(run, image_embedder_folder, clip_folder, dataset):
    from tamis.scorers.clip import Clip

    scorer = Embedding(model=str(image_embedder_folder), text_column=None, image_column="image")
    scored = attach_scores(dataset, scorer, run=run, batch_size=4)
    clip = Clip(model=str(clip_folder), text_column=None, embedding=True)
    expected = attach_scores(dataset, clip, run=run, batch_size=4)["clip_embedding"][:]
    np.testing.assert_allclose(np.asarray(scored["embedding_vector"][:]), np.asarray(expected), atol=1e-4)


@pytest.mark.parametrize("kind", ["texts", "images"])
def test_one_at_a_time_equals_eight_at_a_time(run, embedder_folder, image_embedder_folder, dataset, kind):
    if kind == "texts":
        scorer = Embedding(model=str(embedder_folder))
    else:
        scorer = Embedding(model=str(image_embedder_folder), text_column=None, image_column="image")
    eight = attach_scores(dataset, scorer, run=run, batch_size=8)["embedding_vector"][:]
    one = attach_scores(dataset, dataclasses.replace(scorer, name="one"), run=run, batch_size=1)["one_vector"][:]
    np.testing.assert_allclose(np.asarray(one), np.asarray(eight), atol=1e-5)


def test_odd_texts_get_a_vector_or_a_reason(run, embedder_folder, dataset_of, odd_texts):
    texts, reasons = zip(*odd_texts.values(), strict=True)
    scored = attach_scores(dataset_of(text=list(texts)), Embedding(model=str(embedder_folder)), run=run, batch_size=4)
    assert scored["embedding_error"] == list(reasons)
    assert [value is None for value in scored["embedding_vector"]] == [reason is not None for reason in reasons]


def test_odd_images_get_a_vector_or_a_reason(run, image_embedder_folder, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    scorer = Embedding(model=str(image_embedder_folder), text_column=None, image_column="image")
    scored = attach_scores(dataset_of(list(contents)), scorer, run=run, batch_size=4)
    assert scored["embedding_error"] == list(reasons)
    assert [value is None for value in scored["embedding_vector"]] == [reason is not None for reason in reasons]


def test_text_that_looks_like_an_image_address_is_read_as_text(image_embedder_folder, clip_folder):
    from transformers import AutoTokenizer, CLIPModel

    text = "https://127.0.0.1:9/a.png"
    [vector] = Embedding(model=str(image_embedder_folder))({"text": [text]})["embedding_vector"]
    tokens = AutoTokenizer.from_pretrained(clip_folder)([text], return_tensors="pt")
    with torch.inference_mode():
        features = CLIPModel.from_pretrained(clip_folder).eval().get_text_features(**tokens).pooler_output
    np.testing.assert_allclose(vector, torch.nn.functional.normalize(features, dim=-1)[0], atol=1e-5)


def test_a_prompt_changes_the_vector(embedder_folder):
    plain, prompted = (
        Embedding(model=str(embedder_folder), prompt=prompt)({"text": ["a dog"]})["embedding_vector"][0]
        for prompt in (None, "the photo of ")
    )
    assert np.abs(np.subtract(plain, prompted)).max() > 0.01


def test_what_the_model_does_not_take_is_refused_by_name(embedder_folder, image_embedder_folder, scenes):
    with pytest.raises(ValueError, match="takes no images; set image_column: null"):
        Embedding(model=str(embedder_folder), image_column="image")({"text": ["a"], "image": [scenes[0]]})
    with pytest.raises(ValueError, match="an image or a text, not both"):
        Embedding(model=str(image_embedder_folder), image_column="image")({"text": ["a"], "image": [scenes[0]]})


def test_nothing_to_embed_is_refused_by_name():
    with pytest.raises(ConfigError, match="there is nothing to embed"):
        scorers.build([{"scorer": "embedding", "text_column": None}])
