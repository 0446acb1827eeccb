"""Templates that begin a turn otherwise where they are given its text: what is trained on is what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_pairs import TINY, pairs, said, save_with_template, settings

from tamis.config import ConfigError
from tamis.images import decode_image
from tamis.run import Run
from tamis.training import chat_base, dpo, turns, vlm_lora, vlm_training
from tamis.training.chat_lora import as_stored
from tamis.training.dpo import train_dpo_loras
from tamis.training.dpo_rows import Batches, read, stock
from tamis.training.eyes import Eyes
from tamis.training.pictures import Pictures
from tamis.training.trl_training import Order, control_tokens
from tamis.training.vlm_lora import VlmLora

MOST = 1_000_000
ASKED = '{{- "<|assistant|>" -}}'  # where a reply is asked for
TEMPLATES = {
    "a prefix": (ASKED, ASKED),
    "a line": (ASKED, '{{- "<|assistant|>\\n" -}}'),
    "thinking": (
        ASKED,
        '{{- "<|assistant|>" -}}{%- if enable_thinking is defined and not enable_thinking -%}'
        '{{- "<think>\\n\\n</think>\\n\\n" -}}{%- endif -%}',
    ),
    # As LLaVA-OneVision's: a space before the line where there is text to write.
    "a space": (
        '{{- "<|" ~ message.role ~ "|>" -}}',
        '{{- "<|" ~ message.role ~ "|>" ~ (" " if message.role == "assistant" else "") ~ "\\n" -}}',
    ),
}


@pytest.fixture(params=list(TEMPLATES))
def base(request: Any, tmp_path: Path) -> str:
    save_with_template(tmp_path / "base", TEMPLATES[request.param])
    if request.param == "a space":
        template = tmp_path / "base" / "chat_template.jinja"
        template.write_text(template.read_text().replace(*TEMPLATES["a line"]))
    return str(tmp_path / "base")


def asked_by_the_judge(base: str, text: str, image: Any) -> list[int]:
    from tamis.judge.asking import Ask
    from tamis.judge.building import build
    from tamis.judge.writing import inputs_of

    return inputs_of(build({"model": base})._loaded(), Ask(text, (image,)), MOST)["input_ids"][0].tolist()


def words(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_pairs_are_asked_as_the_judge_asks(base: str) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(base)
    pictures = Pictures("image")
    some = read(as_stored("a", pairs(3), dpo.COLUMNS), pictures, control_tokens(processor.tokenizer))
    eyes = Eyes(AutoModelForImageTextToText.from_pretrained(base), processor, pictures, MOST)
    batches = Batches(some, processor, eyes.written, True, MOST)
    for number in range(3):
        asked, image = some.texts(number), decode_image(some.rows[number]["image"])
        expected = asked_by_the_judge(base, asked["prompt"][0]["content"], image)
        tokens = batches.tokens(number)
        assert tokens["prompt_ids"] == expected
        shown = stock(processor)([some.shown(number, MOST)])  # where pictures are not known
        for row, side in enumerate(("chosen", "rejected")):
            text = asked[side][0]["content"]
            reply = words(processor.tokenizer, text) + words(processor.tokenizer, "<|end|>")
            assert tokens[f"{side}_ids"] == reply
            assert shown["input_ids"][row][shown["attention_mask"][row].bool()].tolist() == expected + reply
            assert shown["completion_mask"][row].sum() == len(reply)


def test_conversations_are_asked_as_the_judge_asks(base: str, run: Run) -> None:
    from transformers import AutoProcessor

    from tamis.sources import pin

    processor = AutoProcessor.from_pretrained(base)
    rows = pairs(3).rename_column("chosen", "completion")
    config = VlmLora(base_model=base, lora_r=2, train_batch_size=1, max_train_steps=1)
    rows = as_stored("a", rows, vlm_lora.COLUMNS)
    order = Order("a", rows, "k" * 64, run.output_dir / "a", pin(base, "model"), config, run, 0)
    kept, _ = vlm_training._learnable(order, processor)
    trainer = vlm_training.trainer(order, kept, processor, 1)
    for number in range(3):
        batch = trainer.data_collator([kept[number]])
        learnt = batch["labels"][0] != -100
        text = rows[number]["completion"][0]["content"]
        reply = words(processor.tokenizer, text) + words(processor.tokenizer, "<|end|>")
        assert batch["input_ids"][0][learnt].tolist() == reply
        image = decode_image(rows[number]["image"])
        expected = asked_by_the_judge(base, rows[number]["prompt"][0]["content"], image)
        assert batch["input_ids"][0][~learnt].tolist() == expected


def test_a_reply_that_stands_in_the_template_is_still_itself() -> None:
    from PIL import Image
    from transformers import AutoProcessor

    processor, image = AutoProcessor.from_pretrained(TINY), Image.new("RGB", (8, 8))
    asked = said("user", f"end {turns.PROBE} n")
    assert turns.reply(processor, asked, said("assistant", "n"), image) == "n<|end|>"


@pytest.mark.parametrize("change", ["said.text | upper", '""'])
def test_a_template_that_says_something_else_is_refused_before_any_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    save_with_template(tmp_path / "other", ("said.text ~", f"({change}) ~"))
    monkeypatch.setattr(chat_base, "load", None)
    run = Run(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"base_model: the chat template of 'other'"):
        train_dpo_loras({"a": pairs(3)}, settings(tmp_path / "other"), run)
    run.close()


def test_conversations_of_another_form_are_left_out() -> None:
    rows = [
        pairs(1)[0] | {"prompt": said("user", "what?") + said("assistant", "that")},
        pairs(1)[0] | {"chosen": said("assistant", "a") + said("user", "b")},
        pairs(1)[0] | {"rejected": said("user", "b")},
        pairs(1)[0],
    ]
    from small_pairs import of_cells

    some = read(of_cells(rows), Pictures("image"), set())
    assert some.kept == [3] and set(some.left_out) == {
        "prompt: does not end with a user's message",
        "chosen: is not one message of an assistant",
        "rejected: is not one message of an assistant",
    }
