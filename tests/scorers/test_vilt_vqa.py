"""ViLT's labels, many rows at a time, are those of the library's own call for each row."""

from __future__ import annotations

import dataclasses

import answering
import pytest
import torch

from tamis.scorers.vilt_vqa import ViltVqa
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("vilt")
    answering.vilt(made)
    return made


@pytest.fixture(scope="module")
def shown(scenes):
    return answering.pictures(scenes)


@pytest.fixture(scope="module")
def dataset(dataset_of, encoded, shown):
    return answering.rows(dataset_of, [encoded(picture) for picture in shown])


def stock(folder, shown, questions=answering.QUESTIONS) -> list[str]:
    from transformers import ViltForQuestionAnswering, ViltProcessor

    processor = ViltProcessor.from_pretrained(folder)
    model = ViltForQuestionAnswering.from_pretrained(folder)
    answers = []
    with torch.inference_mode():
        for picture in shown:
            for question in questions:
                logits = model(**processor(picture, question, return_tensors="pt")).logits
                answers.append(model.config.id2label[logits.argmax(-1).item()])
    return answers


def test_answers_equal_a_call_for_each(run, folder, dataset, shown):
    wanted = stock(folder, shown)
    assert len(set(wanted)) > 2  # or equality would mean nothing
    eight = attach_scores(dataset, ViltVqa(model=str(folder)), run=run, batch_size=8)
    assert eight["vilt_vqa_answer"] == wanted and set(eight["vilt_vqa_error"]) == {None}
    one = dataclasses.replace(ViltVqa(model=str(folder)), name="one", rows_per_chunk=4)
    assert attach_scores(dataset, one, run=run, batch_size=1)["one_answer"] == wanted


def test_it_sees_the_whole_picture_whatever_it_was_trained_with(run, folder, dataset, shown, tmp_path):
    """A ViLT that was trained on draws of 4 patches would answer anew at every call."""
    answering.vilt(tmp_path, max_image_length=4)
    before = torch.random.get_rng_state()
    scored = attach_scores(dataset, ViltVqa(model=str(tmp_path)), run=run, batch_size=4)
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody else's draws have moved
    assert scored["vilt_vqa_answer"] == stock(folder, shown)


def test_odd_images_get_an_answer_or_a_reason(run, folder, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    rows = answering.rows(dataset_of, list(contents), ["what dog"])
    scored = attach_scores(rows, ViltVqa(model=str(folder)), run=run, batch_size=4)
    assert scored["vilt_vqa_error"] == list(reasons)
    assert [answer is None for answer in scored["vilt_vqa_answer"]] == [reason is not None for reason in reasons]


@pytest.mark.filterwarnings("ignore:questions longer than")
def test_odd_questions_get_an_answer_or_a_reason(run, folder, dataset_of, encoded, scenes, odd_texts):
    texts, reasons = zip(*odd_texts.values(), strict=True)
    rows = answering.rows(dataset_of, [encoded(scenes[0])], texts)
    scored = attach_scores(rows, ViltVqa(model=str(folder)), run=run, batch_size=4)
    assert scored["vilt_vqa_error"] == [reason and reason.replace("text", "question") for reason in reasons]
    assert [answer is None for answer in scored["vilt_vqa_answer"]] == [reason is not None for reason in reasons]


def test_a_long_question_is_told(run, folder, dataset_of, encoded, scenes):
    rows = answering.rows(dataset_of, [encoded(scenes[0])], ["red " * 40, "red " * 22])
    with pytest.warns(UserWarning, match="questions longer than 22 tokens"):
        long, short = attach_scores(rows, ViltVqa(model=str(folder)), run=run)["vilt_vqa_answer"]
    assert long == short
