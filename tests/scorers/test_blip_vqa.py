"""BLIP answers, questions packed by picture and adapters on and off, as the library does in a call for each."""

from __future__ import annotations

import json
import shutil

import answering
import pytest
import torch
from datasets import Image, concatenate_datasets, load_dataset

from tamis import models
from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.journal import settings
from tamis.scorers.blip_vqa import BlipVqa
from tamis.scoring import attach_scores
from tamis.vqa.blip import BlipAnswers

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("blip")
    answering.blip(made)
    return str(made)


@pytest.fixture(scope="module")
def shown(scenes):
    return answering.pictures(scenes)


@pytest.fixture(scope="module")
def dataset(dataset_of, encoded, shown):
    return answering.rows(dataset_of, [encoded(picture) for picture in shown])


@pytest.fixture(scope="module")
def loras(folder, tmp_path_factory):
    """Two adapters that say something: their B is not zero."""
    from peft import LoraConfig, get_peft_model
    from transformers import BlipForQuestionAnswering

    home = tmp_path_factory.mktemp("out.1")  # a dot, which a module's name may not hold
    for seed, targets in enumerate((["query", "value"], ["query", "attention.output.dense"])):
        torch.manual_seed(seed)
        config = LoraConfig(r=4, lora_alpha=32, target_modules=targets, init_lora_weights=False)
        get_peft_model(BlipForQuestionAnswering.from_pretrained(folder), config).save_pretrained(home / str(seed))
    return [str(home / "0"), str(home / "1")]


def stock(repo, rows, adapter=None, padding=None) -> list[str]:
    """One question a call; padding: filled up to so many tokens."""
    from peft import PeftModel
    from transformers import BlipForQuestionAnswering, BlipProcessor

    processor = BlipProcessor.from_pretrained(repo)
    model = BlipForQuestionAnswering.from_pretrained(repo)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    filled = {"padding": "max_length", "max_length": padding} if padding else {}
    answers = []
    for row in rows:
        inputs = processor(images=decode_image(row["image"]), text=row["question"], return_tensors="pt", **filled)
        inputs.pop("token_type_ids", None)
        written = model.eval().generate(**inputs, max_new_tokens=5)
        answers.append(processor.decode(written[0], skip_special_tokens=True).strip())
    return answers


@pytest.fixture(scope="module")
def wanted(folder, dataset):
    answers = stock(folder, dataset)
    assert len(set(answers)) > 6  # or equality would mean nothing
    return answers


def test_answers_equal_a_call_for_each(run, folder, dataset, wanted):
    eight = attach_scores(dataset, BlipVqa(model=folder), run=run, batch_size=8)
    assert eight["blip_vqa_answer"] == wanted and set(eight["blip_vqa_error"]) == {None}
    one = BlipVqa(model=folder, name="one", rows_per_chunk=4)
    assert attach_scores(dataset, one, run=run, batch_size=1)["one_answer"] == wanted


def test_answers_of_trained_weights_equal_a_call_for_each(run, hub):
    rows = load_dataset("tiny/products", "questions", split="test").cast_column("image", Image(decode=False))
    rows = rows.select(range(40))
    told = attach_scores(rows, BlipVqa(model="tiny/blip-vqa"), run=run, batch_size=16)["blip_vqa_answer"][:]
    assert told == stock("tiny/blip-vqa", rows)
    seen = [
        one == other for one, other, level in zip(told, rows["answer"], rows["difficulty"], strict=True) if not level
    ]
    assert sum(seen) >= 7  # of eight


def test_the_order_of_questions_makes_no_difference(run, folder, dataset, wanted):
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    rows = dataset.select(order).flatten_indices()
    told = attach_scores(rows, BlipVqa(model=folder), run=run, batch_size=4)["blip_vqa_answer"]
    assert told == [wanted[at] for at in order]


def test_many_questions_on_one_picture_are_several_rows(run, folder, dataset_of, encoded, scenes):
    """More than the question encoder takes together."""
    questions = [f"{word} dog {number}" for number in range(9) for word in ("red", "what a")]
    rows = answering.rows(dataset_of, [encoded(scenes[0])], questions)
    told = attach_scores(rows, BlipVqa(model=folder), run=run, batch_size=18)["blip_vqa_answer"]
    assert told == stock(folder, rows)


def test_a_picture_is_read_once_for_all_questions_and_adapters(folder, dataset, loras):
    scorer = BlipVqa(model=folder, adapters={"none": "", "one": loras[0], "two": loras[1]})
    rows = [scorer.prepare(row) for row in dataset]
    batch = {key: [row[key] for row in rows] for key in rows[0]}
    scorer({key: values[:1] for key, values in batch.items()})
    read = []
    models._held[1].model.vision_model.register_forward_hook(lambda module, inputs, output: read.append(len(output[0])))
    scorer(batch)
    assert read == [4]  # five; the first was read by the batch before


def test_how_far_a_question_is_padded_makes_no_difference(run, folder, dataset, wanted):
    """The library's decoder reads a question's padding (5.23), whatever mask it is given: its answers change."""
    assert stock(folder, dataset, padding=24) != wanted
    long = dataset.map(lambda row: {"question": row["question"] + " of the red square" * 3})
    rows = concatenate_datasets([dataset, long]).flatten_indices()
    told = attach_scores(rows, BlipVqa(model=folder), run=run, batch_size=30)["blip_vqa_answer"]
    assert told[:15] == wanted


def test_a_masked_token_of_a_question_is_not_seen(folder):
    """As the decoder is used in training, too: given a mask it goes by it."""
    held = BlipAnswers(folder, "").model
    torch.manual_seed(0)
    read, ids = torch.randn(1, 9, 32), torch.tensor([[2, 5, 6]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0, 0]])
    with torch.inference_mode():
        masked = held.text_decoder(ids, encoder_hidden_states=read, encoder_attention_mask=mask).logits
        short = held.text_decoder(ids, encoder_hidden_states=read[:, :5]).logits
        whole = held.text_decoder(ids, encoder_hidden_states=read).logits
    torch.testing.assert_close(masked, short, atol=1e-4, rtol=1e-4)
    assert (whole - short).abs().max() > 0.1


def test_adapters_in_one_pass_equal_each_alone_and_the_librarys(run, folder, dataset, wanted, loras):
    adapters = {"none": "", "one": loras[0], "two": loras[1], "again": loras[0]}
    scored = attach_scores(dataset, BlipVqa(model=folder, adapters=adapters), run=run, batch_size=8)
    assert scored["blip_vqa_none"] == wanted  # as if none were loaded
    for name, lora in (("one", loras[0]), ("two", loras[1])):
        alone = BlipVqa(model=folder, name="alone", adapters={name: lora})
        told = attach_scores(dataset, alone, run=run, batch_size=4)[f"alone_{name}"]
        assert scored[f"blip_vqa_{name}"] == told == stock(folder, dataset, lora) != wanted
    assert scored["blip_vqa_again"] == scored["blip_vqa_one"] != scored["blip_vqa_two"]
    assert "blip_vqa_answer" not in scored.column_names


def test_what_an_adapter_holds_is_its_key(run, folder, dataset, loras, tmp_path):
    def scorer() -> BlipVqa:
        return BlipVqa(model=folder, adapters={"tuned": str(tmp_path / "lora")})

    shutil.copytree(loras[0], tmp_path / "lora")
    before = scorer()
    assert settings(before) == settings(BlipVqa(model=folder, adapters={"tuned": loras[0]}))  # wherever it lies
    told = attach_scores(dataset, before, run=run)["blip_vqa_tuned"][:]
    shutil.rmtree(tmp_path / "lora")
    shutil.copytree(loras[1], tmp_path / "lora")
    assert settings(scorer()) != settings(before)
    other = attach_scores(dataset, scorer(), run=run)["blip_vqa_tuned"][:]
    assert other == stock(folder, dataset, loras[1]) and other != told
    weights = settings(scorer())
    config = tmp_path / "lora" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 1}))
    assert settings(scorer()) != weights  # how much it counts stands beside its weights


def test_eight_bits_are_the_librarys(run, folder, dataset, wanted):
    from bitsandbytes.nn import Linear8bitLt

    scorer = BlipVqa(model=folder, quantization="8bit")
    one = attach_scores(dataset, scorer, run=run, batch_size=1)["blip_vqa_answer"][:]
    held = models._held[1]
    kinds = [type(module) for module in held.model.modules() if isinstance(module, torch.nn.Linear)]
    assert kinds.count(Linear8bitLt) > 20
    with torch.inference_mode():
        for row, answer in zip(dataset, one, strict=True):
            prepared = scorer.prepare(row)
            ids = held.tokenizer(row["question"], return_tensors="pt")["input_ids"]
            written = held.model.generate(ids, prepared["picture"][1][None], max_new_tokens=5)
            assert held.tokenizer.decode(written[0], skip_special_tokens=True).strip() == answer
    near = [answer == exact for answer, exact in zip(one, wanted, strict=True)]
    assert sum(near) > 8  # of fifteen: random weights are nearly undecided


def test_eight_bits_wear_adapters(run, folder, dataset, loras):
    adapters = {"none": "", "one": loras[0]}
    scored = attach_scores(dataset, BlipVqa(model=folder, adapters=adapters, quantization="8bit"), run=run)
    assert scored["blip_vqa_none"] != scored["blip_vqa_one"] and set(scored["blip_vqa_error"]) == {None}


def test_odd_images_get_an_answer_or_a_reason(run, folder, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    rows = answering.rows(dataset_of, list(contents), ["what dog"])
    scored = attach_scores(rows, BlipVqa(model=folder), run=run, batch_size=4)
    assert scored["blip_vqa_error"] == list(reasons)
    assert [answer is None for answer in scored["blip_vqa_answer"]] == [reason is not None for reason in reasons]


@pytest.mark.filterwarnings("ignore:questions longer than")
def test_odd_questions_get_an_answer_or_a_reason(run, folder, dataset_of, encoded, scenes, odd_texts):
    texts, reasons = zip(*odd_texts.values(), strict=True)
    rows = answering.rows(dataset_of, [encoded(scenes[0])], texts)
    scored = attach_scores(rows, BlipVqa(model=folder), run=run, batch_size=4)
    assert scored["blip_vqa_error"] == [reason and reason.replace("text", "question") for reason in reasons]
    assert [answer is None for answer in scored["blip_vqa_answer"]] == [reason is not None for reason in reasons]


def test_a_long_question_is_told_and_read_as_the_library_cuts_it(run, folder, dataset_of, encoded, scenes):
    rows = answering.rows(dataset_of, [encoded(scenes[0])], ["red dog " * 40, "red dog " * 15])
    with pytest.warns(UserWarning, match="questions longer than 32 tokens"):
        long, short = attach_scores(rows, BlipVqa(model=folder), run=run)["blip_vqa_answer"]
    assert [long, short] == stock(folder, rows.select([1, 1]))


def test_a_prefix_stands_before_each_question(run, folder, dataset):
    scored = attach_scores(dataset, BlipVqa(model=folder, question_prefix="Question: "), run=run)
    told = dataset.map(lambda row: {"question": "Question: " + row["question"]})
    assert scored["blip_vqa_answer"] == stock(folder, told)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"quantization": "4bit"}, "quantization: '4bit' is not accepted; expected 8bit or null"),
        ({"question_tokens": 2}, "question_tokens: 2 is not accepted; expected 3 or more"),
        ({"answer_tokens": 0}, "answer_tokens: 0 is not accepted; expected 1 or more"),
        ({"adapters": {"error": ""}}, "adapters: error names another column"),
    ],
)
def test_bad_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        BlipVqa(**wrong)


def test_an_adapter_that_is_not_there_is_refused_before_anything_loads(tmp_path):
    with pytest.raises(ConfigError, match="adapter 'nowhere': no adapter_config.json"):
        BlipVqa(adapters={"tuned": str(tmp_path / "nowhere")})
