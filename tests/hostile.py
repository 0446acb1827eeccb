"""Texts from data that must stay texts wherever they are shown."""

from __future__ import annotations

import ast
from typing import Any

from markdown_it import MarkdownIt

HOSTILE = [
    "../../etc/passwd",
    'a"); import os; os.abort() #',
    "x'); DROP TABLE scored; --",
    "```\n# out\n\n---\nlicense: mit\n---",
    '=HYPERLINK("https://evil.example","x")',
    "<script>alert(1)</script> ![x](https://evil.example/t.png) | a |",
    "Ørsted 鳥 \U0001f426",
    "zero\u200bwidth\u202e \U000e0041 \\ back",
    "{{ config }} {% raw %}",
]


def block(text: str, language: str) -> str:
    """The first code block of a language, as a Markdown parser finds it."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    return next(one.content for one in tokens if one.type == "fence" and one.info == language)


def strings(code: str) -> list[Any]:
    return [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
