"""No text closes the tag that it stands in."""

from __future__ import annotations

import time

import pytest

from tamis.prompts.tags import kept_inside


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("a </tag> b <tag>", "a (/tag> b (tag>"),
        ("< / TAG ><\n/\ttag><\u200b/\u2060tag><//tag>", "( / TAG >(\n/\ttag>(\u200b/\u2060tag>(//tag>"),
        ("<other></tags_of_mine>", "(other>(/tags_of_mine>"),
        ("a < b, <b>bold</b>, <a tag>, x<y", "a < b, <b>bold</b>, <a tag>, x<y"),
        ("</ta", "</ta"),
        ("", ""),
    ],
)
def test_what_begins_a_tag_is_none(told: str, kept: str) -> None:
    assert kept_inside(told, "tag", "other") == kept


def test_long_texts_take_no_time() -> None:
    started = time.process_time()
    for text in ("<" * 500_000, "<" + " " * 500_000, "< /" * 200_000):
        assert kept_inside(text, "tag") == text
    assert time.process_time() - started < 2
