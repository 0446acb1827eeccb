"""Prompts for a text-to-image model, a class at a time, as a judge writes them: checked, none twice, never padded."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from tamis.judge import Ask
from tamis.prompts import render
from tamis.seeds import seed_of

LONGEST = 600  # characters: longer is no prompt but an essay
SHOWN = 20  # prompts had already that the judge is shown, the newest: a hundred would fill a small model's context
_LIST_MARK = re.compile(r"\A\s*(?:[-*•]|\d{1,3}[.):])\s+")
_QUOTES = "\"'“”‘’«»"


class Writer(Protocol):
    def write(
        self, asks: list[Ask], *, max_new_tokens: int, temperature: float, seed: int, batch_size: int
    ) -> list[str]: ...


@dataclass
class Written:
    """What was written for one class: the prompts that are kept, and how many lines were not, by reason."""

    prompts: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def write_prompts(
    judge: Writer,
    classes: list[str],
    *,
    count: int,
    complex: bool,
    at_once: int = 20,
    turns: int = 8,
    known: dict[str, list[str]] | None = None,
    wording: str = "full",
    max_new_tokens: int = 2048,
    temperature: float = 0.7,
    seed: int = 0,
) -> dict[str, Written]:
    """`count` prompts for each class, or as many as the judge finds in so many turns.

    at_once: prompts asked for in one reply. known: prompts of a class that are none of these, and are not to be written
    again. temperature 0 writes nothing new in a second turn but for what it is told to avoid.
    """
    found = {name: Written() for name in classes}
    taken = {name: {words(prompt) for prompt in (known or {}).get(name, ())} for name in classes}
    sampled = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    for turn in range(turns):
        asks, asked = [], []
        for name in classes:
            missing = count - len(found[name].prompts)
            for start in range(0, missing, at_once):
                avoid = [*(known or {}).get(name, ()), *found[name].prompts][-SHOWN:]
                told = {"class_name": name, "count": min(at_once, missing - start), "complex": complex, "avoid": avoid}
                asks.append(Ask(render("self_reward/write_prompts", wording=wording, **told)))
                asked.append(name)
        if not asks:
            break
        replies = judge.write(asks, seed=seed_of("prompts", seed, turn, bits=31), batch_size=len(asks), **sampled)
        for name, reply in zip(asked, replies, strict=True):
            _take(reply, name, found[name], taken[name], count)
    return found


def _take(reply: str, name: str, found: Written, taken: set[tuple[str, ...]], count: int) -> None:
    for line in filter(str.strip, reply.splitlines()):
        prompt = _LIST_MARK.sub("", line).strip().strip(_QUOTES).strip()
        if len(found.prompts) == count:
            return
        if reason := _fault(prompt, name, taken):
            found.left_out[reason] += 1
            continue
        taken.add(words(prompt))
        found.prompts.append(prompt)


def _fault(prompt: str, name: str, taken: set[tuple[str, ...]]) -> str | None:
    if not prompt.isprintable() or not re.search(r"\w", prompt):
        return "no text"
    if len(prompt) > LONGEST:
        return f"longer than {LONGEST} characters"
    if not names(prompt, name):
        return "does not name the class"
    if words(prompt) in taken:
        return "written already"
    return None


def names(prompt: str, class_name: str) -> bool:
    """Whether the class stands in it as words, in the plural too: elephants, but no horsefly for a horse."""
    return re.search(rf"(?<!\w){re.escape(class_name.casefold())}(?:e?s)?(?!\w)", prompt.casefold()) is not None


def words(prompt: str) -> tuple[str, ...]:
    """Two prompts that differ in case, stops or spaces alone are one."""
    return tuple(re.findall(r"\w+", prompt.casefold()))
