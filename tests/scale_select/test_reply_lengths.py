"""Lengths of replies in classes, by plain counting, and of writing that has no spaces."""

from __future__ import annotations

import pytest
from datasets import Dataset

from tamis.scale_select.reply_lengths import CLASSES, LONGEST, length_class, reply_lengths


@pytest.mark.parametrize("words", [1, 4, 5, 16, 17, 64, 65, 256, 257, 5000])
def test_classes_are_those_of_plain_counting(words: int) -> None:
    expected = CLASSES[sum(words > most for most in LONGEST)]
    assert length_class(" ".join(["it's"] * words)) == length_class("it's\n" * words) == expected


def test_writing_without_spaces_is_counted_by_characters() -> None:
    assert length_class("红") == "1 to 4 words" and length_class("红色的星星在左边") == "5 to 16 words"
    assert length_class("ดาวสีแดง") == "5 to 16 words" and length_class("a 红色 star") == "1 to 4 words"


def test_a_class_a_row() -> None:
    assert reply_lengths(Dataset.from_dict({"answer": ["red", "it is red, as I see."]}), "answer") == list(CLASSES[:2])
