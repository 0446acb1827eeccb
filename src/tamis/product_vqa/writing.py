"""Questions about a product as a judge writes them: one a difficulty, each checked, asked again at most twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tamis.judge import Ask
from tamis.product_vqa.answers import difficulty_of, same_question, written_fault
from tamis.prompts import render
from tamis.seeds import seed_of

if TYPE_CHECKING:
    from PIL import Image

LONGEST_QUESTION = 300  # characters
SHOWN = 4000  # characters of a reply that a repair shows again: one that loops would fill the context
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_SPEAKS_OF_TEXT = re.compile(r"\bthe (?:description|text|listing|bullet points?)\b", re.IGNORECASE)


class Writer(Protocol):
    def write(
        self, asks: list[Ask], *, max_new_tokens: int, temperature: float, seed: int, batch_size: int
    ) -> list[str]: ...


@dataclass(frozen=True)
class Product:
    title: str
    bullets: tuple[str, ...]
    image: Image.Image | None = None  # None: the judge reads text alone


@dataclass
class Written:
    """What was written about one product: the questions that stand, by the order of the difficulties asked for; how
    often it was asked; how many questions and replies were refused, by reason."""

    questions: list[dict[str, Any]] = field(default_factory=list)
    tries: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def write_questions(
    judge: Writer,
    products: Sequence[Product],
    *,
    difficulties: Sequence[int],
    tries: int = 3,
    wording: str = "full",
    max_new_tokens: int = 1024,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Written]:
    """One question of each difficulty for every product, or as many as are right after so many tries.

    A question that stands, stays: a further try is only to bring those that are still missing.
    """
    found = [Written() for _ in products]
    left = list(range(len(products)))
    asks = [_ask(products[at], wording, difficulties=list(difficulties)) for at in left]
    for turn in range(tries):
        settings = {"max_new_tokens": max_new_tokens, "temperature": temperature}
        replies = judge.write(asks, seed=seed_of("questions", seed, turn, bits=31), batch_size=len(asks), **settings)
        again, asks = [], []
        for at, reply in zip(left, replies, strict=True):
            found[at].tries = turn + 1
            faults = take(reply, found[at], difficulties)
            if len(found[at].questions) < len(difficulties):
                again.append(at)
                # Of nothing, nothing can be mended.
                told = {"reply": reply[:SHOWN], "faults": faults} if reply.strip() else {}
                asks.append(_ask(products[at], wording, difficulties=list(difficulties), **told))
        left = again
        if not left:
            break
    return found


def take(reply: str, found: Written, difficulties: Sequence[int]) -> list[str]:
    """Takes the questions of a reply that are right and still missing; what is wrong, in sentences for a repair.

    The first right one of each difficulty is taken. Others beyond it are counted as more than were asked for, but for
    those that repeat what an earlier try had brought.
    """
    items = _items(reply)
    if isinstance(items, str):
        found.left_out[items] += 1
        return [items]
    faults, had = [], Counter(one["difficulty"] for one in found.questions)
    asked, missing = Counter(difficulties), Counter(difficulties) - had
    for number, item in enumerate(items, start=1):
        level = difficulty_of(item.get("difficulty")) if isinstance(item, dict) else None
        if had[level] and not missing[level]:
            continue
        fault = _fault(item, level, asked, found)
        if fault is None and not missing[level]:
            fault = "more questions than were asked for"
        if fault is not None:
            found.left_out[fault] += 1
            faults.append(f"question {number}: {fault}")
            continue
        missing[level] -= 1
        found.questions.append(
            {"question": " ".join(item["question"].split()), "answer": _answer(item), "difficulty": level}
        )
    order = list(difficulties)
    found.questions.sort(key=lambda one: order.index(one["difficulty"]))
    return faults + [f"there is no right question of difficulty {level}" for level in +missing]


def _items(reply: str) -> list[Any] | str:
    """The list that a reply holds, in a fence or among words or under one name; else what is wrong with it."""
    if not reply.strip():
        return "nothing was written"
    fenced = _FENCE.search(reply)
    text = fenced[1] if fenced else reply
    candidates = [text, text[text.find("[") : text.rfind("]") + 1]]
    for candidate in candidates:
        try:
            made = json.loads(candidate)
        except (ValueError, RecursionError):  # a model that loops writes thousands of brackets
            continue
        if isinstance(made, dict) and len(made) == 1:
            [made] = made.values()
        return made if isinstance(made, list) else "the reply is no list of questions"
    return "the reply is not JSON"


def _fault(item: Any, level: int | None, asked: Counter[int], found: Written) -> str | None:
    if not isinstance(item, dict) or not {"question", "answer", "difficulty"} <= set(item):
        return "it is no object of question, answer and difficulty"
    question, answer = item["question"], _answer(item)
    if not isinstance(question, str) or not same_question(question) or not " ".join(question.split()).isprintable():
        return "no question"
    if len(question) > LONGEST_QUESTION:
        return f"a question of more than {LONGEST_QUESTION} characters"
    if answer is None:
        return "no answer"
    if fault := written_fault(answer):
        return fault
    if not asked[level]:
        return "a difficulty that was not asked for"
    if set(same_question(answer)) <= set(same_question(question)):
        return "a question that contains its answer"
    if _SPEAKS_OF_TEXT.search(question):
        return "a question that speaks of the text"
    if any(same_question(question) == same_question(one["question"]) for one in found.questions):
        return "a question that is asked twice"
    return None


def _answer(item: dict[str, Any]) -> str | None:
    """As text: numbers come without quotes."""
    answer = item["answer"]
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return str(answer)
    return answer.strip() if isinstance(answer, str) else None


def _ask(product: Product, wording: str, **told: Any) -> Ask:
    name = "product_vqa/repair" if "faults" in told else "product_vqa/write_questions"
    text = render(name, wording=wording, title=product.title, bullets=list(product.bullets), **told)
    images = () if product.image is None else (product.image,)
    return Ask(text, images, schema=_schema(sorted(set(told["difficulties"]))))


def _schema(difficulties: list[int]) -> dict[str, Any]:
    """An object around the list: servers that hold a reply to a schema take no list by itself."""
    kinds = {"question": {"type": "string"}, "answer": {"type": "string"}}
    kinds |= {"difficulty": {"type": "integer", "enum": difficulties}}
    item = {"type": "object", "properties": kinds, "required": list(kinds), "additionalProperties": False}
    listed = {"questions": {"type": "array", "items": item}}
    return {"type": "object", "properties": listed, "required": list(listed), "additionalProperties": False}
