"""JSON files as they are handed out: lists and lines, cut short, broken, larger than what is read at once."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from tamis.config import ConfigError
from tamis.named_files import NotUsable
from tamis.scale_select import json_files
from tamis.scale_select.json_files import NOT_JSON, rows_of


def read(text: str) -> list[Any]:
    return [str(row) if isinstance(row, NotUsable) else row for row in rows_of(io.StringIO(text), "rows.json")]


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 64, 1 << 22])
def test_lists_and_lines_are_read_alike_whatever_is_read_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "READ_AT_ONCE", at_once)
    draw = random.Random(at_once)
    texts = ("a", 'quo"te', "ü\n", "]", "[", "}{", ",", "\\", "<image>", "\u2028")
    rows: list[Any] = [
        {"id": draw.choice((at, str(at))), "t": [draw.choice(texts), {"x": draw.choice((1.5, None, -12, True))}]}
        for at in range(40)
    ]
    for told in (json.dumps(rows), json.dumps(rows, indent=2), json.dumps(rows, ensure_ascii=False)):
        assert read(f" \n{told}\n") == rows
    for end in ("\n", "\r\n", "\n\n"):
        assert read(end.join(json.dumps(row, ensure_ascii=False) for row in rows)) == rows
    assert read("[]") == read("") == read(" \n") == []
    assert read("[12, 345]") == [12, 345]  # a number that goes on in what is read next


@pytest.mark.parametrize(
    "text", ['[{"a": 1}', '[{"a": 1},', '[{"a": 1}, {"b', "[", '[{"a": 1} nonsense]', '[{"a": 1}}']
)
def test_a_list_that_ends_too_early_is_an_error_not_fewer_rows(text: str) -> None:
    with pytest.raises(ConfigError, match=r"rows.json: cut short or damaged after row [01]; fetch it again"):
        read(text)


def test_lines_that_are_no_rows_are_told_one_by_one() -> None:
    deep = "[" * 100_000
    assert read(f'{{"a": 1}}\nnonsense\n{deep}\n{{"a": 2') == [{"a": 1}, NOT_JSON, NOT_JSON, NOT_JSON]
    with pytest.raises(ConfigError, match="damaged after row 0"):
        read(deep)


def test_a_row_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "READ_AT_ONCE", 100)
    monkeypatch.setattr(json_files, "LONGEST_ROW", 1000)
    with pytest.raises(ConfigError, match="line 2 is of more than 1000 characters"):
        read('{"a": 1}\n"' + "x" * 5000)
    file = io.StringIO('["' + "x" * 5000)
    with pytest.raises(ConfigError, match="damaged after row 0"):
        list(rows_of(file, "rows.json"))
    assert file.tell() < 2000
