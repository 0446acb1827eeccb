"""What goes into a model that answers, and what comes out of it."""

from __future__ import annotations

import warnings

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tamis.vqa.asked import Seen, cut, filled, first_line, first_word, refuse_slots


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("red", "red"),
        ("Red.", "Red"),
        (" **Dark** red", "Dark"),
        ("“red”, I think", "red"),
        ("<b>red</b>", "red"),
        ("<answer>\n'red'\n</answer>", "red"),
        ("- red", "red"),
        ("`t-shirt`!", "t-shirt"),
        ("3.5", "3.5"),
        ("-5", "-5"),
        ("C++", "C++"),
        ("50%", "50%"),
        ("None", "None"),
        ("nan", "nan"),
        ("¿Rojo?", "¿Rojo"),
        ("鳥。", "鳥。"),
        ("", ""),
        (" \n\t", ""),
        ("... ** !", ""),
        ("<end>", ""),
    ],
)
def test_the_first_word_of_a_reply(reply: str, word: str) -> None:
    assert first_word(reply) == word


@pytest.mark.parametrize(
    ("reply", "line"),
    [("red.", "red"), ("\n\n dark  red \nQuestion: why?", "dark red"), ("3.5", "3.5"), (".", ""), (" \n ", "")],
)
def test_the_first_line_of_a_reply(reply: str, line: str) -> None:
    assert first_line(reply) == line


def test_braces_of_a_row_are_text() -> None:
    told = filled("{question} {answer}.", question="{answer} {question} {}", answer="{{ red }}")
    assert told == "{answer} {question} {} {{ red }}."


@pytest.mark.parametrize("template", ["", "no slot", "{question} {question}", "{question} {other}", "{question} {}"])
def test_a_template_that_cannot_ask_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="prompt: .* is not accepted; expected a text with {question} once, no other"):
        refuse_slots("prompt", template, needed=("question",))


def test_a_slot_may_be_optional() -> None:
    for template in ("{answer}", "{answer} {question}"):
        refuse_slots("template", template, needed=("answer",), optional=("question",))
    with pytest.raises(ValueError, match="with {answer} once, {question} if wanted, no other braces"):
        refuse_slots("template", "{question}", needed=("answer",), optional=("question",))


def test_long_questions_are_cut_and_that_is_told() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "what": 1, "colour": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    with pytest.warns(UserWarning, match="questions longer than 2 tokens are read that far only"):
        assert cut(tokenizer, ["what  colour is it", "what colour", "it"], 2) == ["what  colour", "what colour", "it"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cut(tokenizer, ["what colour"], 2) == ["what colour"]


def test_pictures_are_read_once_as_long_as_batches_go_on_with_them() -> None:
    seen, read = Seen(), []

    def encode(pixels: list[int]) -> torch.Tensor:
        read.append(pixels)
        return torch.tensor(pixels, dtype=torch.float32)[:, None]

    shown, rows = seen.of([("a", 1), ("b", 2), ("a", 1)], encode)
    assert shown[rows, 0].tolist() == [1, 2, 1] and read == [[1, 2]]
    shown, rows = seen.of([("c", 3), ("b", 2)], encode)
    assert shown[rows, 0].tolist() == [3, 2] and read == [[1, 2], [3]]
    seen.of([("a", 1)], encode)  # not of the batch before: forgotten, so that memory stays bounded
    assert read == [[1, 2], [3], [1]]
