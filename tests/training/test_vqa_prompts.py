"""What BLIP reads and writes, token by token."""

from __future__ import annotations

from typing import Any

import pytest
from small_blip import READER

from tamis.training.vqa_prompts import answer_ids, as_asked, question_ids

START = 99


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(READER)


def test_the_prefix_stands_before_the_question(tokenizer: Any) -> None:
    assert as_asked(" what is it?\n", "Question: ") == "Question: what is it?"
    ((ids, cut),) = question_ids(tokenizer, [" what is it?"], prefix="star ", longest=32)
    assert ids == tokenizer("star what is it?").input_ids
    assert not cut


def test_what_is_too_long_is_cut_and_said_to_be(tokenizer: Any) -> None:
    whole = tokenizer("what is the red star?").input_ids
    for longest in range(3, len(whole) + 2):
        ((ids, cut),) = question_ids(tokenizer, ["what is the red star?"], prefix="", longest=longest)
        assert (len(ids), cut) == (min(longest, len(whole)), longest < len(whole))
        assert (ids[0], ids[-1]) == (whole[0], whole[-1])
        ((ids, cut),) = answer_ids(tokenizer, ["what is the red star?"], start=START, longest=longest)
        assert ids == [START, *whole[1:]][:longest]  # one that was cut is not said to end there
        assert cut == (longest < len(whole))


def test_a_text_cannot_write_control_tokens(tokenizer: Any) -> None:
    ((ids, _),) = question_ids(tokenizer, ["what [SEP] is [PAD] it?"], prefix="", longest=48)
    assert ids.count(tokenizer.sep_token_id) == 1
    assert tokenizer.pad_token_id not in ids
    ((ids, _),) = answer_ids(tokenizer, ["[SEP] red"], start=START, longest=48)
    assert ids.index(tokenizer.sep_token_id) == len(ids) - 1


def test_no_texts_no_tokens(tokenizer: Any) -> None:
    assert question_ids(tokenizer, [], prefix="", longest=8) == []
