"""Cards: what comes from data can never act; licences are never weakened; values are complete or refused."""

from __future__ import annotations

import html as entities
import re
from pathlib import Path

import pytest
import yaml
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from tamis import cards
from tamis.metrics.stats import Comparison, Estimate
from tamis.sources import Source

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "| a | b |\n| --- | --- |",
    "```\nbreak out\n```",
    "# heading\n\n---\n\nlicense: mit",
    "`code` **bold** _it_ ~~gone~~ $x$",
    "&lt;img src=x onerror=alert(1)&gt;",
    "\u202etxet desrever \x00\x07",
    "<https://evil.example>",
    "see https://evil.example/a_b?c=1&d=2, or HTTP://EVIL.example",
    "www.evil.example and evil.com, mail me@evil.com",
    "1. a list",
    "2) another",
]

# What renderers make links of by themselves; in code they never do.
LINKS = re.compile(r"https?://|www\.|\w@\w|\w\.(com|org|example|net)\b", re.IGNORECASE)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "card.md.jinja"
    path.write_text("---\n{{ metadata }}---\n# Title\n\n{{ text }}\n")
    return path


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_data_is_only_text(template: Path, text: str) -> None:
    rendered = cards.Card(template, {"license": "mit"}, {"text": text}).render()
    body = rendered.split("---\n", 2)[2]
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(body)
    assert html.count("<h1>") == 1 and html.count("<p>") == 1
    for tag in ("<script", "<img", "<a ", "<table", "<code>code", "<strong", "<em", "<hr", "<pre", "<s>", "<ol", "<ul"):
        assert tag not in html, html
    outside = re.sub(r"<code>.*?</code>", "", html)
    assert not LINKS.search(entities.unescape(outside)), outside
    assert yaml.safe_load(rendered.split("---\n")[1]) == {"license": "mit"}


@pytest.mark.parametrize("text", [*HOSTILE, "``", "a`b", "`"])
def test_code_cannot_be_closed_from_inside(text: str) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(cards.code(text))
    assert html.startswith("<p><code>") and html.rstrip().endswith("</code></p>"), html
    assert "\u202e" not in html and "\x07" not in html
    block = MarkdownIt("gfm-like", {"linkify": False}).render(cards.fenced(text + "\n```\n# out", "text"))
    assert block.count("<pre>") == 1 and "<h1>" not in block and "\u202e" not in block


def test_what_is_shown_is_what_was_said() -> None:
    text = "see https://evil.example/a_b?c=1&d=2, www.evil.example; me@evil.com: 0.5 < 1.5 & *all* e.g. 3-4"
    html = MarkdownIt("gfm-like", {"linkify": False}).render(cards.escape(text))
    assert entities.unescape(re.sub(r"</?(p|code)>", "", html)).strip() == text


def test_tables_keep_their_shape() -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(cards.table(["a", "b"], [[text, 1] for text in HOSTILE]))
    assert html.count("<tr>") == len(HOSTILE) + 1 and html.count("<td>") == 2 * len(HOSTILE)


def test_a_value_that_is_missing_or_strange_is_refused(template: Path) -> None:
    with pytest.raises(UndefinedError):
        cards.Card(template, {}, {}).render()
    with pytest.raises(TypeError, match="not a object"):
        cards.Card(template, {}, {"text": object()}).render()


def source(licence: str | None, name: str = "a/b") -> Source:
    return Source(name, "dataset", "0" * 40, licence)


@pytest.mark.parametrize(
    ("licences", "derived"),
    [
        (["mit"], "mit"),
        (["cc0-1.0", "cc-by-4.0"], "cc-by-4.0"),
        (["apache-2.0", "cc-by-nc-4.0", "cc-by-4.0"], "cc-by-nc-4.0"),
        (["cc-by-sa-4.0", "cc-by-4.0"], "cc-by-sa-4.0"),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], "other"),  # neither contains the other's terms
        (["mit", "llama3"], "other"),
        (["mit", None], "unknown"),
        (["mit", "unknown"], "unknown"),
        (["cc-by-nd-4.0", "cc-by-nc-4.0"], "other"),
        (["cc-by-sa-4.0", "cc-by-nd-4.0"], "other"),
        (["cc-by-nd-4.0", "mit"], "other"),
        (["cc-by-nd-4.0", "cc-by-nd-4.0"], "cc-by-nd-4.0"),
        (["cc-by-nc-sa-4.0", "mit"], "cc-by-nc-sa-4.0"),
        (["cc-by-sa-3.0", "cc-by-sa-4.0"], "other"),
        (["odbl", "cc-by-4.0"], "other"),
        (["mit", "apache-2.0"], "apache-2.0"),
        (["mit, cc-by-nc-4.0", "mit"], "cc-by-nc-4.0"),  # one repo that states two
        (["mit, cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["cc-by-sa-4.0, cc-by-nc-4.0"], "other"),
        (["mit, unknown"], "unknown"),
    ],
)
def test_licences_are_never_weakened(licences: list, derived: str) -> None:
    found, why = cards.derived_licence([source(licence, f"a/{place}") for place, licence in enumerate(licences)])
    assert found == derived
    assert "a/0" in why or "a/1" in why


def test_numbers_carry_their_n() -> None:
    assert cards.interval(Estimate(0.5, 0.4, 0.6, 12, 3)) == "0.500 [0.400, 0.600], n = 12, 3 null"
    assert cards.interval(Estimate(None, None, None, 0, 5)) == "– (n = 0, 5 null)"
    assert cards.interval(Estimate(None, None, None, 2, 0)) == "– (n = 2, 0 null)"  # a correlation of two points
    assert cards.difference(Comparison(0.1, 0.05, 0.15, 0.0001, 40)) == "+0.100 [+0.050, +0.150], p < 0.001, n = 40"


def test_nulls_are_listed_by_reason() -> None:
    text = cards.nulls_table({"clip_similarity": {"text: empty": 2, "image: null": 5}, "other": {}}, 100)
    assert [line.split("|")[2].strip() for line in text.splitlines()[2:]] == ["5", "2"]
    assert cards.nulls_table({"a": {}}, 10) == "None."


@pytest.mark.parametrize(
    ("rows", "derived", "said"),
    [
        (["CC BY 4.0", "cc0"], "cc-by-4.0", "its pictures (cc-by-4.0, cc0-1.0)"),
        (["CC BY-SA 4.0", "CC BY-NC 4.0"], "other", "apply together"),
        (["CC0", None, " ", "unknown"], "unknown", "3 of its pictures state no licence"),
        (["CC BY 4.0", "GFDL 1.2"], "other", "gfdl-1.2"),
        ([], "mit", "That of datasets/a/b."),
    ],
)
def test_licences_that_rows_state_count_too(rows: list, derived: str, said: str) -> None:
    found, why = cards.derived_licence([source("mit")], rows)
    assert found == derived and said in why


def test_a_difference_of_two_rows_has_no_p() -> None:
    assert cards.difference(Comparison(0.5, None, None, None, 2)) == "+0.500, no p, n = 2"
