"""What a judge is asked, and how a request becomes the library's: images named by placeholders nobody can guess,
options in an order that no writer of questions chose."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from tamis.images import fitted

if TYPE_CHECKING:
    from transformers.decision import Question

MAX_PIXELS = 1280 * 28 * 28  # 1280 tokens of a Qwen2.5-VL: the most that its card advises


@dataclass(frozen=True)
class Request:
    """One state and questions about it, by System One's convention (`transformers.decision`).

    state: a text, an image, or a dict or list of these, nested as wanted. Keys of a dict are the author's own words:
    the library takes control tokens in values for text, and not those in keys. Never put a row's text into a key.

    questions: {name: {"type": "choice" | "score" | "noul", "instructions": ..., "criteria": ...}}; `choice` maps
    options to descriptions or None, `score` lists its levels, lowest first, `noul` is yes or no. Images may stand in
    them too.
    """

    state: Any
    questions: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Ask:
    """One text to write: what is asked, the images shown before it, and how the reply begins (not repeated in it).

    schema: the JSON that the reply is to be, for a server that can be held to one. Elsewhere the text alone asks for
    it: who reads the reply checks it all the same.
    """

    text: str
    images: tuple[Image.Image, ...] = ()
    begun: str = ""
    schema: dict[str, Any] | None = None


def asked_plainly(chat_template: Any) -> dict[str, bool]:
    """Answers are to be short: no thinking first, where a template knows of it (processors refuse unknown settings)."""
    return {"enable_thinking": False} if "enable_thinking" in str(chat_template) else {}


def as_library(request: Request, max_pixels: int) -> dict[str, Any]:
    """The request as `transformers.decision` takes it: placeholders in its strings, the images beside them.

    The placeholders are drawn anew for each request, so that no text of a row can name an image.
    """
    assets: dict[str, Image.Image] = {}
    state, questions = _named(request.state, assets), _named(request.questions, assets)
    shown = {name: fitted(image, max_pixels) for name, image in assets.items()}
    return {"state": state, "questions": questions, "assets": shown}


def _named(value: Any, assets: dict[str, Image.Image]) -> Any:
    if isinstance(value, Image.Image):
        known = [name for name, image in assets.items() if image is value]
        name = known[0] if known else f"image-{secrets.token_hex(12)}"
        assets[name] = value
        return name
    if isinstance(value, dict):
        return {key: _named(item, assets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item, assets) for item in value]
    return value


def reordered(questions: dict[str, dict[str, Any]], seed: int) -> dict[str, dict[str, Any]]:
    """The questions with the options of each `choice` in another order: models prefer some letters to others.

    The order follows from the seed and the question itself, wherever it is asked and in whatever order its options
    are given. Levels of a `score` keep theirs, which is their meaning.
    """
    return {name: _reordered(question, seed) for name, question in questions.items()}


def _reordered(question: dict[str, Any], seed: int) -> dict[str, Any]:
    criteria = question.get("criteria") if isinstance(question, dict) else None
    if not isinstance(criteria, dict) or question.get("type") != "choice":
        return question
    told = json.dumps([question.get("instructions"), criteria], sort_keys=True, default=lambda value: "image")
    options = sorted(criteria)
    random.Random(f"{seed} {told}").shuffle(options)
    return question | {"criteria": {option: criteria[option] for option in options}}


def answer_as_asked(request: Request, question: Question, probabilities: dict[str, float]) -> dict[str, Any]:
    """A question's answer from each option's probability: in the order of the request, no placeholder in a legend."""
    criteria = request.questions[question.name].get("criteria")
    if question.type == "choice":
        question = replace(question, options=list(criteria), descriptions=list(criteria.values()))
    elif question.type == "score":
        question = replace(question, descriptions=list(criteria))
    return question.answer([probabilities[option] for option in question.options])
