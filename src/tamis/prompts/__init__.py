"""Prompts: one jinja file each, in two wordings with the same variables and the same reply.

`NAME.jinja` is written for real judges, `NAME.short.jinja` for models of a few million parameters. The comment that
opens a file says who asks, what stage of the paper it stands for, and what the reply looks like. Where a prompt becomes
a typed question, the file holds its instructions alone: options and labels are rendered by the decision template. The
levels of a score are the lines of `NAME.levels`, lowest first.

Values are inserted as they are and never rendered again: text of a dataset may hold braces, quotes or control tokens.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError, meta

_HERE = Path(__file__).parent
_ENDINGS = {"full": ".jinja", "short": ".short.jinja"}
_COMMENT = re.compile(r"\{#.*?#\}\n?", re.DOTALL)


def render(name: str, /, *, wording: str = "full", **variables: Any) -> str:
    """The prompt with its variables filled in, no newline at its end."""
    _check(name, variables, wording)
    try:
        return _environment().get_template(name + _ENDINGS[wording]).render(variables).rstrip("\n")
    except UndefinedError as error:  # a part of a value: a look-alike without its article
        raise ValueError(f"prompt {name}: {error}") from error


def lines(name: str, /, *, wording: str = "full", **variables: Any) -> list[str]:
    """The non-empty lines of a prompt: the levels of a score, lowest first."""
    return [line for line in render(name, wording=wording, **variables).splitlines() if line.strip()]


@cache
def names() -> tuple[str, ...]:
    """Every prompt, levels among them, in alphabetical order."""
    short, full = _ENDINGS["short"], _ENDINGS["full"]
    files = [path.relative_to(_HERE).as_posix() for path in _HERE.rglob(f"*{full}")]
    return tuple(sorted(file.removesuffix(full) for file in files if not file.endswith(short)))


@cache
def variables(name: str, /, wording: str = "full") -> frozenset[str]:
    """The variables that a prompt takes: all of them, and no other, are given to `render`."""
    return frozenset(meta.find_undeclared_variables(_environment().parse(source(name, wording))))


@cache
def source(name: str, /, wording: str = "full") -> str:
    """What a journal key holds of a prompt: its text before rendering, comments left out."""
    if name not in names():
        raise ValueError(f"no prompt {name!r}; there are {', '.join(names())}")
    if wording not in _ENDINGS:
        raise ValueError(f"no wording {wording!r}; there are {', '.join(_ENDINGS)}")
    return _COMMENT.sub("", (_HERE / (name + _ENDINGS[wording])).read_text(encoding="utf-8"))


def _check(name: str, given: dict[str, Any], wording: str) -> None:
    wanted, there = variables(name, wording), {variable for variable, value in given.items() if value is not None}
    for what, found in (("missing", wanted - there), ("superfluous", given.keys() - wanted)):
        if found:
            raise ValueError(f"prompt {name}: {what} {', '.join(sorted(found))}")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        finalize=_not_none,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # plain text for a model; its control tokens are the judge's to escape
    )
    environment.globals.clear()  # so that every name in a template is one of its variables
    return environment


def _not_none(value: Any) -> Any:
    if value is None:  # would be read as the word None
        raise UndefinedError("a value is None")
    return value
