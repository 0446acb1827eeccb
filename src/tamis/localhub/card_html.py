"""A card as HTML that can do nothing: Markdown rendered, then only harmless elements and addresses kept."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

import nh3
import yaml
from markdown_it import MarkdownIt
from markupsafe import Markup

# fmt: off
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "code", "dd", "del", "details", "div", "dl",
    "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd",
    "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strong", "sub", "summary", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "var",
}
# fmt: on
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    **{tag: {"align", "colspan", "rowspan"} for tag in ("td", "th")},
    **{tag: {"align"} for tag in ("div", "p", "h1", "h2", "h3")},
    "details": {"open"},
}
# What a browser would load or run is dropped with what is inside.
_DROPPED_WHOLE = {"script", "style", "iframe", "object", "svg", "math", "template", "noscript", "textarea", "title"}


_LONGEST = 500_000
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"\*\*|__|`")


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@lru_cache(maxsize=64)
def render(markdown: str, files_address: str) -> Markup:
    """Sanitised HTML of a card; relative addresses lead to `files_address`, and pictures come from there alone."""

    def checked(tag: str, attribute: str, value: str) -> str | None:
        if attribute == "src":
            # A picture from elsewhere would tell its server who reads this card, and when.
            return local_address(value, files_address)
        if attribute == "href":
            return value if value.startswith("#") else local_address(value, files_address) or _outside(value)
        return value

    clean = nh3.clean(
        _markdown().render(markdown[:_LONGEST]),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        clean_content_tags=_DROPPED_WHOLE,
        attribute_filter=checked,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    # The only text of a repository that templates do not escape.
    return Markup(clean)  # noqa: S704


def _parts(address: str) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return None
    return parts.scheme.lower(), parts.netloc, parts.path


def _outside(address: str) -> str | None:
    """An ordinary web address as it is, nothing else."""
    parts = _parts(address)
    return address if parts and parts[0] in ("http", "https") and parts[1] else None


def local_address(address: str, files_address: str) -> str | None:
    """Where a relative address leads inside the repository, None when it leads out of it."""
    parts = _parts(address)
    if parts is None or parts[0] or parts[1] or not parts[2] or "\\" in address:
        return None
    path = posixpath.normpath(unquote(parts[2]).lstrip("/"))
    if path in (".", "..") or path.startswith("../"):
        return None
    return f"{files_address}/{quote(path)}"


def first_words(markdown: str) -> str:
    """The first paragraph of a card that is neither a heading nor markup, cut to a line or two for a list."""
    for paragraph in re.split(r"\n\s*\n|(?<=\n)(?=#)|(?m:^#.*$)", markdown[:20_000]):
        text = " ".join(paragraph.split())
        if text and text[0] not in "#<!|[`-=>*{":
            plain = _MARKS.sub("", _LINK.sub(r"\1", text))
            return plain if len(plain) <= 160 else plain[:159] + "…"
    return ""


def as_yaml(value: object) -> str:
    """A piece of metadata as people write it, cut where it is long."""
    if isinstance(value, str | int | float) or value is None:
        text = "null" if value is None else str(value)
    elif isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        text = "\n".join(map(str, value))
    else:
        text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False).strip()
    return text if len(text) <= 2000 else text[:2000] + "…"
