"""The answer that CLIP ranks first is the one that the library's own pass over all of them ranks first."""

from __future__ import annotations

import dataclasses

import answering
import numpy as np
import pytest
import torch
from datasets import Image, load_dataset

from tamis import models
from tamis.scorers.clip_vocabulary import ClipVocabulary
from tamis.scoring import attach_scores
from tamis.vqa import vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")
ANSWERS = ["red", "green", "blue", "circle", "square", "dog", "None", "nan", "on the photo"]
TEMPLATE = "{question} {answer}"


@pytest.fixture(scope="module")
def shown(scenes):
    return answering.pictures(scenes)


@pytest.fixture(scope="module")
def dataset(dataset_of, encoded, shown):
    return answering.rows(dataset_of, [encoded(picture) for picture in shown])


def stock(folder, shown, template=TEMPLATE) -> list[str]:
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    processor = CLIPProcessor(CLIPImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    model = CLIPModel.from_pretrained(folder)
    told = []
    with torch.inference_mode():
        for picture in shown:
            for question in answering.QUESTIONS:
                texts = [template.format(question=question, answer=answer) for answer in ANSWERS]
                inputs = processor(text=texts, images=picture, padding=True, return_tensors="pt")
                told.append(ANSWERS[model(**inputs).logits_per_image.argmax()])
    return told


def test_answers_equal_a_call_for_each(run, clip_folder, dataset, shown):
    wanted = stock(clip_folder, shown)
    assert len(set(wanted)) > 2  # or equality would mean nothing
    scorer = ClipVocabulary(ANSWERS, model=str(clip_folder), template=TEMPLATE)
    eight = attach_scores(dataset, scorer, run=run, batch_size=8)
    assert eight["clip_vocabulary_answer"] == wanted and set(eight["clip_vocabulary_error"]) == {None}
    one = dataclasses.replace(scorer, name="one", rows_per_chunk=4)
    assert attach_scores(dataset, one, run=run, batch_size=1)["one_answer"] == wanted


def test_without_its_question_a_template_ranks_answers_alone(run, clip_folder, dataset, shown):
    scorer = ClipVocabulary(ANSWERS, model=str(clip_folder), template="a {answer}")
    scored = attach_scores(dataset, scorer, run=run)
    assert scored["clip_vocabulary_answer"] == stock(clip_folder, shown, "a {answer}")
    assert len(models._held[1].told) == 1


def test_siglip_answers_too(run, siglip_folder, dataset):
    scorer = ClipVocabulary(ANSWERS, model=str(siglip_folder), template=TEMPLATE)
    eight = attach_scores(dataset, scorer, run=run, batch_size=8)["clip_vocabulary_answer"]
    one = attach_scores(dataset, dataclasses.replace(scorer, name="one"), run=run, batch_size=1)["one_answer"]
    assert eight == one and len(set(eight)) > 1


def passes(scorer, dataset) -> tuple[list[int], list[int]]:
    """How many pictures and texts each call of a tower embeds, the first row scored before."""
    rows = [scorer.prepare(row) for row in dataset]
    batch = {key: [row[key] for row in rows] for key in rows[0]}
    scorer({key: values[:1] for key, values in batch.items()})
    pictures, texts = [], []
    towers = models._held[1].towers.model
    towers.vision_model.register_forward_hook(lambda module, inputs, output: pictures.append(len(output[0])))
    towers.text_model.register_forward_hook(lambda module, inputs, output: texts.append(len(output[0])))
    scorer(batch)
    return pictures, texts


def test_pictures_and_texts_are_embedded_once(clip_folder, dataset, monkeypatch):
    monkeypatch.setattr(vocabulary, "TEXTS_AT_ONCE", 4)
    pictures, texts = passes(ClipVocabulary(ANSWERS, model=str(clip_folder), template=TEMPLATE), dataset)
    assert pictures == [4]  # five; the first was embedded for the row before
    assert texts == [4, 4, 1] * 2  # nine answers for each of three questions, one of them asked before


def test_memory_is_bounded(clip_folder, dataset, monkeypatch):
    monkeypatch.setattr(vocabulary, "REMEMBERED", 2 * len(ANSWERS) * 24 * 4)
    scorer = ClipVocabulary(ANSWERS, model=str(clip_folder), template=TEMPLATE)
    _, texts = passes(scorer, dataset)
    assert len(models._held[1].told) == 2 and len(texts) > 2


def test_a_long_question_leaves_the_answer_in_sight(run, clip_folder, dataset_of, encoded, shown):
    """Cut where the model stops reading, all texts would be equal and the first answer win."""
    contents = [encoded(picture) for picture in shown]
    rows = answering.rows(dataset_of, contents, ["what dog is that " * 20])
    scorer = ClipVocabulary(ANSWERS, model=str(clip_folder), template=TEMPLATE)
    with pytest.warns(UserWarning, match="questions longer than"):
        scored = attach_scores(rows, scorer, run=run)
    texts = next(iter(models._held[1].told.values()))
    assert torch.pdist(texts).min() > 1e-3 and set(scored["clip_vocabulary_error"]) == {None}


def test_braces_in_a_question_are_text(run, clip_folder, dataset_of, encoded, shown):
    rows = answering.rows(dataset_of, [encoded(shown[0])], ["{answer} {question} {0} {", "<|endoftext|> dog"])
    scored = attach_scores(rows, ClipVocabulary(ANSWERS, model=str(clip_folder), template=TEMPLATE), run=run)
    assert set(scored["clip_vocabulary_error"]) == {None}
    assert "{answer} {question} {0} {" in models._held[1].told


def test_odd_images_get_an_answer_or_a_reason(run, clip_folder, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    rows = answering.rows(dataset_of, list(contents), ["what dog"])
    scored = attach_scores(rows, ClipVocabulary(ANSWERS, model=str(clip_folder)), run=run, batch_size=4)
    assert scored["clip_vocabulary_error"] == list(reasons)
    assert [answer is None for answer in scored["clip_vocabulary_answer"]] == [bool(reason) for reason in reasons]


@pytest.mark.filterwarnings("ignore:questions longer than")
def test_odd_questions_get_an_answer_or_a_reason(run, clip_folder, dataset_of, encoded, scenes, odd_texts):
    texts, reasons = zip(*odd_texts.values(), strict=True)
    rows = answering.rows(dataset_of, [encoded(scenes[0])], texts)
    scored = attach_scores(rows, ClipVocabulary(ANSWERS, model=str(clip_folder)), run=run, batch_size=4)
    assert scored["clip_vocabulary_error"] == [reason and reason.replace("text", "question") for reason in reasons]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"vocabulary": []}, "vocabulary: empty"),
        ({"vocabulary": ["red", " "]}, "vocabulary: an answer in it is empty"),
        ({"vocabulary": ["red", "blue", "red"]}, "vocabulary: 'red' stands in it more than once"),
        ({"vocabulary": ["red"], "template": "{question}"}, "template: '{question}' is not accepted"),
    ],
)
def test_bad_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        ClipVocabulary(**settings)


def test_an_answer_that_fills_the_model_is_refused(run, clip_folder, dataset):
    with pytest.raises(ValueError, match="its longest answer leaves no room in 77 tokens"):
        attach_scores(dataset, ClipVocabulary(["a" * 100], model=str(clip_folder)), run=run)


def test_tiny_clip_finds_shapes_and_colours(run, hub):
    products = load_dataset("tiny/products", "questions")
    answers = sorted(set(products["train"]["answer"]))
    rows = products["test"].cast_column("image", Image(decode=False))
    rows = rows.select([at for at, level in enumerate(rows["difficulty"]) if level == 0][:60]).flatten_indices()
    scorer = ClipVocabulary(answers, model="tiny/clip", template=TEMPLATE)
    told = attach_scores(rows, scorer, run=run)["clip_vocabulary_answer"]
    right = np.mean([one == other for one, other in zip(told, rows["answer"], strict=True)])
    assert len(answers) > 30 and right > 0.45  # by chance: one in the number of answers
