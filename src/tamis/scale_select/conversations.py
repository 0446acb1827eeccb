"""Conversations as the pool holds them: user and assistant by turns, the user first, the assistant last.

The picture stands before the first message. Where a source marks its place by `<image>`, that is taken out, wherever it
stands. What differs from that form in a way that leaves no doubt is repaired, everything else is refused; both are
counted by the reasons below. Words that are commands to some model (`<|im_end|>`) are text like any other here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tamis.named_files import NotUsable

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
SPEAKERS = {"human": USER, "user": USER, "gpt": ASSISTANT, "assistant": ASSISTANT, "system": SYSTEM}
SPOKEN = {USER: "human", ASSISTANT: "gpt"}
PLACEHOLDER = "<image>"
MOST_TURNS = 100

# Repaired:
MISPLACED = "`<image>` stood elsewhere than at an end of the first message: taken out"
NOT_MARKED = "no `<image>`, but a picture: it stands before the first message"
UNANSWERED = "the last message had no reply: cut off"
INSTRUCTED = "it began with a system's message: left out"

# Refused:
NO_TURNS = "no conversation"
NO_TEXT = "a turn that is no text"
STRANGER = "a turn of an unknown speaker"
TWICE_IN_A_ROW = "two turns of one speaker in a row"
REPLY_FIRST = "it begins with a reply"
SYSTEM_LATER = "a system's message in its midst"
NO_REPLY = "no reply"
EMPTY = "an empty turn"
TOO_LONG = "more turns than most_turns"
SEVERAL = "several pictures"
NO_PICTURE = "`<image>`, but no picture"

Turns = list[dict[str, str]]


@dataclass(frozen=True)
class Conversation:
    turns: Turns  # {role: user or assistant, content}
    repaired: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As judges read it: who says what, a line a turn."""
        return "\n".join(f"{SPOKEN[turn['role']]}: {turn['content']}" for turn in self.turns)


def tidy(told: Any, *, pictures: int, marked: bool = True, most_turns: int = MOST_TURNS) -> Conversation:
    """The conversation behind turns in LLaVA's form (from, value) or in that of chats (role, content).

    pictures: how many come with it. marked: whether its form shows the picture's place by `<image>`. A content that is
    a list holds texts, which are joined by line breaks, and pictures, each as good as an `<image>`.
    """
    if not isinstance(told, Sequence) or isinstance(told, str | bytes) or not told:
        raise NotUsable(NO_TURNS)
    turns, marks = [], []
    for turn in told:
        role, content = _turn(turn)
        stripped, count = _without_placeholders(content)
        turns.append({"role": role, "content": stripped})
        marks.append(count)
    if sum(marks) > 1 or pictures > 1:
        raise NotUsable(SEVERAL)
    if sum(marks) > pictures:
        raise NotUsable(NO_PICTURE)
    repaired = []
    if sum(marks) and not _stands_well(told, turns, marks):
        repaired.append(MISPLACED)
    if marked and pictures and not sum(marks):
        repaired.append(NOT_MARKED)
    if turns[0]["role"] == SYSTEM:
        turns = turns[1:]
        repaired.append(INSTRUCTED)
    _refuse_disorder(turns)
    if turns and turns[-1]["role"] == USER:
        turns = turns[:-1]
        repaired.append(UNANSWERED)
    if not turns:
        raise NotUsable(NO_REPLY)
    if not all(turn["content"] for turn in turns):
        raise NotUsable(EMPTY)
    if len(turns) > most_turns:
        raise NotUsable(TOO_LONG)
    return Conversation(turns, tuple(repaired))


def _turn(turn: Any) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise NotUsable(NO_TEXT)
    speaker = turn.get("from") if turn.get("from") is not None else turn.get("role")
    if not isinstance(speaker, str) or speaker not in SPEAKERS:
        raise NotUsable(STRANGER)
    content = turn.get("value") if turn.get("value") is not None else turn.get("content")
    text = "\n".join(map(_part, content)) if isinstance(content, list) else content
    if not isinstance(text, str) or not is_unicode(text):
        raise NotUsable(NO_TEXT)
    return SPEAKERS[speaker], text


def _part(part: Any) -> str:
    """A part of a message: its text, or the mark of a picture; anything else, a sound for one, is not read here."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "image":
        return PLACEHOLDER
    if kind == "text" and isinstance(part.get("text"), str):
        return part["text"]
    raise NotUsable(NO_TEXT)


def is_unicode(text: str) -> bool:
    """Half a surrogate pair, which JSON can spell, is in no file of texts."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_placeholders(text: str) -> tuple[str, int]:
    """Taking one out may make another of what stood around it."""
    count = 0
    while found := text.count(PLACEHOLDER):
        text, count = text.replace(PLACEHOLDER, ""), count + found
    return text.strip(), count


def _stands_well(told: Any, turns: Turns, marks: list[int]) -> bool:
    """At the beginning or the end of the first message, as LLaVA writes it."""
    first = 1 if turns[0]["role"] == SYSTEM and len(turns) > 1 else 0
    if not marks[first] or turns[first]["role"] != USER:
        return False
    text = _turn(told[first])[1].strip()
    return text.startswith(PLACEHOLDER) or text.endswith(PLACEHOLDER)


def _refuse_disorder(turns: Turns) -> None:
    roles = [turn["role"] for turn in turns]
    if SYSTEM in roles:
        raise NotUsable(SYSTEM_LATER)
    if roles and roles[0] == ASSISTANT:
        raise NotUsable(REPLY_FIRST)
    if any(one == other for one, other in zip(roles, roles[1:], strict=False)):
        raise NotUsable(TWICE_IN_A_ROW)
