"""BLIP-2 and Florence-2 write, many rows at a time, what the library's own generate() writes for each row."""

from __future__ import annotations

import dataclasses

import answering
import pytest
from hostile import HOSTILE

from tamis import models
from tamis.scorers.generated_vqa import GeneratedVqa
from tamis.scoring import attach_scores
from tamis.vqa.asked import first_line

pytestmark = pytest.mark.usefixtures("one_thread")
BLIP2 = "Question: {question} Answer:"
FAMILIES = {"blip2": BLIP2, "blip2_t5": BLIP2, "florence2": "<VQA>{question}"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {name: tmp_path_factory.mktemp(name) for name in FAMILIES}
    for name, folder in made.items():
        getattr(answering, name)(folder)
    return made


@pytest.fixture(params=FAMILIES)
def scorer(request, folders):
    return GeneratedVqa(model=str(folders[request.param]), prompt=FAMILIES[request.param])


@pytest.fixture(scope="module")
def shown(scenes):
    return answering.pictures(scenes)


@pytest.fixture(scope="module")
def dataset(dataset_of, encoded, shown):
    return answering.rows(dataset_of, [encoded(picture) for picture in shown])


def stock(scorer, shown, questions=answering.QUESTIONS) -> list[str]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(scorer.model)
    model = AutoModelForImageTextToText.from_pretrained(scorer.model)
    answers = []
    for picture in shown:
        for question in questions:
            prompt = scorer.prompt.replace("{question}", question)
            inputs = processor(images=picture, text=prompt, return_tensors="pt")
            written = model.generate(**inputs, max_new_tokens=scorer.answer_tokens)
            if not (
                model.config.is_encoder_decoder or model.config.text_config.is_encoder_decoder
            ):  # repeats its prompt
                written = written[:, inputs["input_ids"].shape[1] :]
            answers.append(first_line(processor.decode(written[0], skip_special_tokens=True)))
    return answers


def test_answers_equal_a_call_for_each(run, scorer, dataset, shown):
    wanted = stock(scorer, shown)
    assert len(set(wanted)) > 4  # or equality would mean nothing
    eight = attach_scores(dataset, scorer, run=run, batch_size=8)
    assert eight["generated_vqa_answer"] == wanted and set(eight["generated_vqa_error"]) == {None}
    one = dataclasses.replace(scorer, name="one", rows_per_chunk=4)
    assert attach_scores(dataset, one, run=run, batch_size=1)["one_answer"] == wanted


def test_a_picture_is_read_once(scorer, dataset):
    rows = [scorer.prepare(row) for row in dataset]
    batch = {key: [row[key] for row in rows] for key in rows[0]}
    scorer({key: values[:3] for key, values in batch.items()})
    read = []
    held = models._held[1].model
    eyes = held.vision_model if held.config.model_type == "blip-2" else held.model.vision_tower
    eyes.register_forward_hook(
        lambda module, inputs, kwargs, output: read.append(_pictures(inputs, kwargs)), with_kwargs=True
    )
    scorer(batch)
    assert read == [4]  # five pictures, fifteen questions; the first was read by the batch before


def _pictures(inputs, kwargs) -> int:
    return len(inputs[0] if inputs else kwargs["pixel_values"])


def test_a_question_cannot_show_a_picture_or_end_the_prompt(run, scorer, dataset_of, encoded, scenes):
    control = ["<image>", "what <image><image> dog", "</s> what dog", "<pad><s>dog", "<OCR>", "<VQA>{question}"]
    rows = answering.rows(dataset_of, [encoded(scenes[0])], ["what dog", *HOSTILE, *control])
    read = []
    for row in rows:
        scorer({key: [value] for key, value in scorer.prepare(row).items()})
        held = models._held[1]
        if not read:
            held.model.get_input_embeddings().register_forward_hook(
                lambda module, inputs, output: read.append(inputs[0].flatten().tolist())
            )
            read.append(None)
            continue
        control = held.tokenizer.convert_tokens_to_ids(["<image>", "</s>", "<pad>"])
        [prompt, *_] = read[1:]  # what follows is what was written
        assert len(prompt) > 5
        # BART's tokenizer ends each text with one </s> of its own.
        assert [prompt.count(token) for token in control] == [0, int(prompt[-1] == control[1]), 0], row["question"]
        del read[1:]
    scored = attach_scores(rows, scorer, run=run, batch_size=4)
    assert set(scored["generated_vqa_error"]) == {None}


@pytest.mark.filterwarnings("ignore:questions longer than")
def test_odd_images_and_questions_get_an_answer_or_a_reason(run, scorer, dataset_of, odd_images, odd_texts):
    contents, reasons = zip(*odd_images.values(), strict=True)
    texts, whys = zip(*odd_texts.values(), strict=True)
    plain = [odd_images["plain"][0]] * len(texts)
    rows = dataset_of([*contents, *plain], question=["what dog"] * len(contents) + [*texts])
    scored = attach_scores(rows, scorer, run=run, batch_size=4)
    wanted = [*reasons, *(why and why.replace("text", "question") for why in whys)]
    assert scored["generated_vqa_error"] == wanted
    assert [answer is None for answer in scored["generated_vqa_answer"]] == [bool(reason) for reason in wanted]


def test_what_stands_behind_a_long_question_is_kept(run, folders, dataset_of, encoded, scenes):
    scorer = GeneratedVqa(model=str(folders["blip2"]), question_tokens=8)
    rows = answering.rows(dataset_of, [encoded(scenes[0])], ["what dog is on the green square", "what dog"])
    with pytest.warns(UserWarning, match="questions longer than 8 tokens"):
        long, short = attach_scores(rows, scorer, run=run)["generated_vqa_answer"]
    assert long == short


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompt": "Question:"}, "prompt: 'Question:' is not accepted"),
        ({"question_tokens": 0}, "question_tokens: 0 is not accepted; expected 1 or more"),
        ({"answer_tokens": 0}, "answer_tokens: 0 is not accepted; expected 1 or more"),
    ],
)
def test_bad_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        GeneratedVqa(**settings)


def test_another_model_is_refused_by_name(run, clip_folder, dataset):
    with pytest.raises(ValueError, match="is a clip model; expected one of blip-2, florence2"):
        attach_scores(dataset, GeneratedVqa(model=str(clip_folder)), run=run)
