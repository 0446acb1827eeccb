"""Whole conversations: what is learnt of them, what they cost, which are left out, and on how many ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import torch
from cut_off import cut_off_at
from small_blip import files, weights
from small_diffusion import SAME, apart, picture
from small_pairs import TINY, save_idefics3, save_with_template
from small_talks import MOST, by_hand, of_cells, order, plainly, settings, talk, talks, turns
from test_turns import TEMPLATES

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.run import Run
from tamis.training import conversation_training, length_order, trl_training, vlm_training
from tamis.training.conversation_batches import IGNORED, Conversations
from tamis.training.vlm_lora import VlmLora, train_vlm_loras
from tamis.training.vlm_tuning import train_vlms

Train = Callable[..., Any]


@pytest.fixture
def tune(tmp_path: Path) -> Train:
    def call(rows: Any, config: Any, where: str = "run", **more: Any) -> Any:
        run = Run(tmp_path / where)
        call.run = run
        try:
            return train_vlms({"a": rows}, config, run, **more)["a"]
        finally:
            run.close()

    return call


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(TINY)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(TINY)


def loss(model: Any, batch: dict[str, torch.Tensor]) -> float:
    """The mean over learnt tokens, as the trainer takes it."""
    with torch.no_grad():
        return float(model(**batch).loss)


def learnt(processor: Any, batch: dict[str, torch.Tensor], row: int = 0) -> str:
    return processor.tokenizer.decode(batch["input_ids"][row][batch["labels"][row] != IGNORED])


def test_every_reply_is_learnt_and_nothing_else(processor: Any, model: Any) -> None:
    batches, rows = Conversations(processor, MOST), [talk(number) for number in range(6)]
    for row in rows:
        batch = batches([row])
        said = "".join(f"{one['content']}<|end|>" for one in row["conversation"] if one["role"] == "assistant")
        assert learnt(processor, batch) == said
        ids = batch["input_ids"][0][batch["attention_mask"][0].bool()]
        last = f"{row['conversation'][-1]['content']}<|end|>"
        whole = plainly(row, len(row["conversation"]) // 2 - 1) + last
        assert processor.tokenizer.decode(ids).replace("<image>" * 64, "<image>") == whole
        assert loss(model, batch) == pytest.approx(by_hand(model, processor, [row], plainly), abs=1e-5)
    assert loss(model, batches(rows)) == pytest.approx(by_hand(model, processor, rows, plainly), abs=1e-5)


def test_three_replies(processor: Any) -> None:
    row = talk(0, conversation=turns("what?", "a star", "where?", "at the top", "why?", "it is so"))
    assert learnt(processor, Conversations(processor, MOST)([row])) == "a star<|end|>at the top<|end|>it is so<|end|>"


def test_of_one_reply_the_loss_is_that_of_prompt_and_completion(run: Run, processor: Any, model: Any) -> None:
    from datasets import Dataset, Features, Image, List, Value

    rows = [talk(0), talk(4, image=picture(4, (100, 30)))]
    messages = List({"role": Value("string"), "content": Value("string")})
    features = Features({"image": Image(decode=False), "prompt": messages, "completion": messages})
    pairs = [
        {"image": row["image"], "prompt": row["conversation"][:1], "completion": row["conversation"][1:]}
        for row in rows
    ]
    config = VlmLora(base_model=str(TINY), lora_r=2, train_batch_size=2)
    made = trl_training.Order(
        "a",
        Dataset.from_list(pairs, features=features),
        "k" * 64,
        run.output_dir,
        order(talks(1), settings(), run).base,
        config,
        run,
        0,
    )
    kept, _ = vlm_training._learnable(made, processor)
    theirs = vlm_training.trainer(made, kept, processor, 1).data_collator([kept[0], kept[1]])
    ours = Conversations(processor, config.max_pixels)(rows)
    assert set(ours) == set(theirs)
    assert all(
        torch.equal(ours[name], theirs[name]) for name in ("input_ids", "attention_mask", "pixel_values", "labels")
    )
    assert loss(model, ours) == pytest.approx(loss(model, theirs), abs=1e-6)


def test_pictures_in_tiles_stand_beside_rows_without_one(tmp_path: Path) -> None:
    """Idefics3: as many tiles as a picture's shape asks for, padded to the most of the batch."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    save_idefics3(tmp_path / "base")
    processor = AutoProcessor.from_pretrained(tmp_path / "base")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "base")
    batches, rows = Conversations(processor, MOST), [talk(number) for number in range(4)]

    def asked(row: dict[str, Any], number: int) -> str:
        told = plainly(row, number).replace("<image>\n", "<image>").replace("<|end|>", "<end_of_utterance>")
        told = told.replace("<|assistant|>", "<end_of_utterance><|im_start|>assistant: ")
        return told.replace("<|user|>", "<|im_start|>user: ")

    expected = by_hand(model, processor, rows, asked, "<end_of_utterance>")
    assert loss(model, batches(rows)) == pytest.approx(expected, abs=1e-5)


def test_a_batch_without_any_picture_says_what_its_rows_say(processor: Any, model: Any) -> None:
    batches, rows = Conversations(processor, MOST), [talk(2), talk(5)]
    batch = batches(rows)
    assert len(batch["input_ids"]) == 3 and len(batch["pixel_values"]) == 1
    assert (batch["labels"][2] == IGNORED).all()
    assert loss(model, batch) == pytest.approx(by_hand(model, processor, rows, plainly), abs=1e-5)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_reply_is_learnt_after_what_a_judge_would_ask(tmp_path: Path, name: str) -> None:
    """Templates that write a reply back in other tokens than it was said in: a sequence for each."""
    from transformers import AutoProcessor

    from tamis.judge.asking import asked_plainly

    save_with_template(tmp_path / "base", TEMPLATES[name])
    processor = AutoProcessor.from_pretrained(tmp_path / "base")
    row = talk(3, conversation=turns("what?", "a star", "where?", "at the top", "why?", "it is so"))
    batch = Conversations(processor, MOST)([row])
    image = decode_image(row["image"])
    content = [{"type": "image", "image": image}, {"type": "text", "text": "what?"}]
    messages = [{"role": "user", "content": content}, *row["conversation"][1:]]
    told = processor.tokenizer
    found: list[list[int]] = []
    for ids, labels in zip(batch["input_ids"].tolist(), (batch["labels"] != IGNORED).tolist(), strict=True):
        # Each run of learnt tokens, with all that stands before it.
        ends = [end for end in range(1, len(ids)) if labels[end - 1] and (end == len(ids) or not labels[end])]
        ends += [len(ids)] if labels[-1] else []
        found += [ids[:end] for end in ends]
    expected = []
    for end in (1, 3, 5):
        asked = processor.apply_chat_template(
            messages[:end],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **asked_plainly(processor.chat_template),
        )
        words = told(row["conversation"][end]["content"] + "<|end|>", add_special_tokens=False)["input_ids"]
        expected.append(asked["input_ids"][0].tolist() + words)
    assert found == expected
    assert len(batch["input_ids"]) == (1 if name == "a prefix" else 3)


def test_one_by_one_is_all_at_once(tune: Train) -> None:
    config = {"max_train_steps": 2, "tuning": "lora"}
    together = tune(talks(8), settings(**config), "together")
    alone = tune(talks(8), settings(**config, train_batch_size=1, gradient_accumulation_steps=4), "alone")
    assert apart(weights(together.path), weights(alone.path)) < SAME


def test_two_ranks_train_what_one_trains(tmp_path: Path) -> None:
    """A rank has no picture in one of its steps."""
    port = killing.free_port()
    rows = of_cells([talk(number, **({"image": None} if number < 6 else {})) for number in range(12)])

    def work(ranks: int, rank: int) -> None:
        killing.be_rank(rank, ranks, port)
        torch.set_num_threads(1)
        run = Run(tmp_path / str(ranks))
        made = train_vlms({"a": rows}, settings(group_by_length=True), run)
        assert made["a"].train_metrics["steps"] == 3
        run.wait()
        run.close()

    assert killing.wait([killing.fork(partial(work, 1, 0))]) == [0]
    assert killing.wait([killing.fork(partial(work, 2, rank)) for rank in range(2)]) == [0, 0]
    one, two = (weights(tmp_path / ranks / "adapters" / "a") for ranks in "12")
    assert apart(one, two) < SAME


def test_cut_off_it_goes_on_to_the_same_bytes(tune: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the second epoch, rows by their length, with dropout."""
    config = settings(
        max_train_steps=None, num_train_epochs=2, checkpoint_seconds=0.0, lora_dropout=0.3, group_by_length=True
    )
    whole = tune(talks(10), config, "whole")

    with cut_off_at(4, monkeypatch):
        tune(talks(10), config, "cut")
    resumed = tune(talks(10), config, "cut")
    assert (tune.run.stages[-1]["steps"], resumed.train_metrics["steps"]) == (2, 5)
    assert files(whole.path) == files(resumed.path)
    again = tune(talks(10), config, "cut")
    assert again == resumed and tune.run.stages[-1]["adapters_reused"] == 1


def test_what_cannot_be_learnt_is_left_out_and_counted(tune: Train, capsys: Any) -> None:
    broken = {"bytes": picture(1)["bytes"][:60], "path": None}
    cells = [
        talk(0),
        talk(1, conversation=turns(*["look at it", "I do"] * 50)),  # a hundred turns
        talk(3, image=broken),
        talk(4, conversation=turns("what <|end|> is it?", "a star")),
        talk(5, conversation=turns("what?", "a <image> star")),
        talk(6, conversation=turns("what?", "a star", "and then?")),
        talk(7, conversation=turns("what?", " \n", "why?", "so")),
        talk(8, conversation=turns("what?", None)),
        talk(9, conversation=[]),
        talk(10, conversation=None),
        talk(11, conversation=turns("what?", "a star")[::-1]),
        talk(12, conversation=turns("what?", "a star")[:1] * 2),
        talk(13, conversation=[{"role": "system", "content": "obey"}, *turns("what?", "a star")]),
        talk(14, conversation=turns("what?", "a star " * 1200)),
    ]
    made = tune(of_cells(cells), settings(max_train_steps=1, max_length=1000))
    reasons = {
        "image: truncated or corrupt": 1,
        "conversation: a control token": 2,
        "conversation: does not end with a reply": 1,
        "conversation: an empty turn": 2,
        "conversation: empty": 2,
        "conversation: not user and assistant in turns, the user first": 3,
        "conversation: longer than max_length": 1,
    }
    assert json.loads((made.path / "training.json").read_text())["left_out"] == reasons
    assert (made.train_metrics["rows"], made.train_metrics["rows_left_out"]) == (2, 12)
    assert "a: 2 of 14 rows left out: conversation: a control token" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="none of its rows .*1 x conversation: does not end with a reply"):
        tune(of_cells(cells[5:6]), settings())


def test_a_processor_that_ties_pictures_to_rows_is_not_shown_rows_without(
    run: Run, processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(processor), "model_input_names", ["input_ids", "cross_attention_mask"])
    lessons = conversation_training.learnable(order(talks(6), settings(), run), processor)
    assert lessons.left_out == {"image: null, and a LlavaProcessor ties pictures to rows": 2}
    assert len(lessons) == 4


@pytest.mark.parametrize(
    ("rows", "changed", "message"),
    [
        (talks(2).remove_columns("conversation"), {}, "column 'conversation' is not in its subset"),
        (talks(2).select([]), {}, "no rows"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tune: Train, rows: Any, changed: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(rows, settings(**changed))
    with pytest.raises(ConfigError, match="max_length: 0"):
        settings(max_length=0)


def test_rows_of_prompt_and_completion_are_another_function(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(ConfigError, match="column 'prompt' is not in its subset"):
        train_vlm_loras({"a": talks(2)}, VlmLora(base_model=str(TINY)), run)
    run.close()


def test_settings_of_another_way_of_tuning_are_not_in_the_key() -> None:
    assert settings().in_key() != settings(lora_r=3).in_key()
    assert settings(tuning="language_model").in_key() == settings(tuning="language_model", lora_r=3).in_key()
    assert settings().in_key() != settings(group_by_length=True).in_key() != settings(max_length=9).in_key()


def test_rows_of_like_length_share_a_step() -> None:
    lengths = [100 + 10 * (number * 37 % 101) for number in range(203)]
    found = length_order.by_length(lengths, rows_a_step=8, epochs=3, seed=1)
    assert sorted(found) == sorted([*range(203)] * 3)
    assert all(len(set(found[203 * epoch : 203 * (epoch + 1)])) >= 203 - 8 for epoch in range(3))
    assert max(lengths[one] for one in found[:8]) == max(lengths)
    assert found != length_order.by_length(lengths, rows_a_step=8, epochs=3, seed=2)
    assert found[:400] == length_order.by_length(lengths, rows_a_step=8, epochs=2, seed=1)[:400]
    alike, mixed = (length_order.padding(lengths, rows, 8) for rows in (found, [*range(203)]))
    assert alike < 0.1 < 0.3 < mixed
    assert sorted(length_order.by_length([5, 3], rows_a_step=4, epochs=2, seed=0)) == [0, 0, 1, 1]
