"""Decisions over the wire: System One's and OpenAI's shapes of requests and answers, split to what a server takes."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from tamis.judge.api_calls import Exchange, Refusal
from tamis.judge.asking import Request, answer_as_asked, as_library, reordered

if TYPE_CHECKING:
    from transformers.decision import Question

Found = dict[str, dict[str, float] | Refusal]  # by question: a weight for each option

MOST_OPTIONS = 255  # of the decision routes; letters bound those of chat
# At most so many questions and images a request: transformers' own bounds, and those of OpenAI's reference.
SYSTEM_ONE = (64, 4)
OPEN_AI = (400, 128)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request as it is sent: images named, options in the drawn order, every question found valid."""

    request: Request
    state: Any
    raw: dict[str, dict[str, Any]]
    questions: list[Question]
    pngs: dict[str, str]  # base64, by placeholder

    def shown_in(self, value: Any) -> list[str]:
        """The placeholders in it, in order."""
        return [name for name, is_image in self.pieces(value) if is_image]

    def pieces(self, value: Any) -> list[tuple[str, bool]]:
        """A value as text, other than strings as JSON, split where images stand: (text or placeholder, image?)."""
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not self.pngs:
            return [(text, False)] if text else []
        parts = re.split("(" + "|".join(map(re.escape, self.pngs)) + ")", text)
        return [(part, number % 2 == 1) for number, part in enumerate(parts) if part]


def prepare(request: Request, order_seed: int | None, max_pixels: int, most_options: int = MOST_OPTIONS) -> Prepared:
    """Raises ValueError for a wrong question, by its name, before anything is sent."""
    from transformers.decision import DecisionConfig, parse_questions

    questions = request.questions if order_seed is None else reordered(request.questions, order_seed)
    sent = as_library(Request(request.state, questions), max_pixels)
    try:
        json.dumps([sent["state"], sent["questions"]], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"judge: a request holds what cannot be sent as JSON: {error}") from error
    config = DecisionConfig()
    if most_options > 26:
        config.labels = dict.fromkeys(("choice", "score"), [str(number) for number in range(most_options)])
    parsed = parse_questions(sent["questions"], config)
    pngs = {name: png(image) for name, image in sent["assets"].items()}
    return Prepared(request, sent["state"], sent["questions"], parsed, pngs)


def png(image: Image.Image) -> str:
    """As the library reads images: turned as the camera was held, in RGB."""
    file = io.BytesIO()
    ImageOps.exif_transpose(image).convert("RGB").save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def data_url(encoded: str) -> str:
    return f"data:image/png;base64,{encoded}"


def answers_of(prepared: Prepared, found: Found) -> dict[str, dict[str, Any]]:
    """System One's answers under the options' names as given; {"type": ..., "error": reason} where there is none.

    A question of which nothing is known at all is left out: its call was never made.
    """
    answers = {}
    for asked in prepared.questions:
        weights = found.get(asked.name)
        if isinstance(weights, Refusal):
            answers[asked.name] = {"type": asked.type, "error": weights.reason}
        elif weights is not None:
            total = sum(weights.values())
            probabilities = {option: weight / total for option, weight in weights.items()}
            answers[asked.name] = answer_as_asked(prepared.request, asked, probabilities)
    return answers


def systemone(prepared: Prepared, model: str) -> list[Exchange]:
    """POST /v1/systemone. Text stays data: the server escapes what could be taken for a control token."""
    exchanges = []
    for questions, images in _parts(prepared, *SYSTEM_ONE):
        body: dict[str, Any] = {"model": model, "state": prepared.state}
        body["questions"] = {question.name: prepared.raw[question.name] for question in questions}
        if images:
            assets = {name: {"type": "image", "format": "png", "data_base64": prepared.pngs[name]} for name in images}
            body["assets"] = assets
        exchanges.append(_exchange(body, questions, _system_one_answers))
    return exchanges


def decisions(prepared: Prepared, model: str) -> list[Exchange]:
    """POST /v1/decisions: a user's message and a list of questions. No images in options: the shape has none there.

    A level of a score is sent as a label (its number) and a description; what is to count as true or false of a
    yes/no question is told in its instructions, for which the shape has no place of their own.
    """
    exchanges = []
    for questions, _ in _parts(prepared, *OPEN_AI):
        body = {"model": model, "input": [{"role": "user", "content": _open_ai_parts(prepared, prepared.state)}]}
        body["questions"] = [_open_ai_question(prepared, question) for question in questions]
        exchanges.append(_exchange(body, questions, _open_ai_answers))
    return exchanges


def _parts(prepared: Prepared, most_questions: int, most_images: int) -> Iterator[tuple[list[Question], list[str]]]:
    """Questions, in parts of at most so many, and so many different images with those of the state."""
    state = list(dict.fromkeys(prepared.shown_in(prepared.state)))
    part: list[Question] = []
    images = state
    for question in prepared.questions:
        own = list(dict.fromkeys(state + prepared.shown_in(prepared.raw[question.name])))
        if len(own) > most_images:
            raise ValueError(f"judge: {question.name!r} shows {len(own)} images; this route takes {most_images}")
        both = list(dict.fromkeys(images + own))
        if part and (len(part) == most_questions or len(both) > most_images):
            yield part, images
            part, both = [], own
        part, images = [*part, question], both
    yield part, images


def _exchange(body: dict[str, Any], questions: list[Question], listed: Callable[..., dict[str, Any]]) -> Exchange:
    def read(reply: dict[str, Any]) -> Found:
        answers = listed(reply)
        return {question.name: _weights(question, answers.get(question.name)) for question in questions}

    return Exchange(body, read, tuple(question.name for question in questions))


def _weights(question: Question, answer: Any) -> dict[str, float] | Refusal:
    """What the server gives each option, as {option: probability}; or why that is not to be had."""
    if answer is None:
        return Refusal("left out by the server")
    weights = answer.get("probabilities") if isinstance(answer, dict) else None
    if question.type == "noul" and isinstance(answer, dict) and _is_number(answer.get("noul")):
        weights = {"true": answer["noul"], "false": max(0.0, 1 - answer["noul"])}
    well = isinstance(weights, dict) and set(weights) == set(question.options)
    if not well or not all(map(_is_number, weights.values())) or not sum(weights.values()) > 0:
        return Refusal(f"not answered: {json.dumps(answer, ensure_ascii=False)[:200]}")
    return weights


def _is_number(value: Any) -> bool:
    """A probability, give or take what rounding adds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1.001


def _system_one_answers(reply: dict[str, Any]) -> dict[str, Any]:
    answers = reply.get("answers")
    if not isinstance(answers, dict):
        raise ValueError("no answers in it")
    return answers


def _open_ai_answers(reply: dict[str, Any]) -> dict[str, Any]:
    """Answers by name, in System One's words; a refusal stays as it is."""
    answers = reply.get("answers")
    if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers):
        raise ValueError("no answers in it")
    named = {}
    for one in answers:
        answer, given = dict(one), one.get("probabilities")
        if one.get("type") == "predicate":
            answer["noul"] = one.get("probability")
        elif isinstance(given, list) and all(isinstance(each, dict) for each in given):
            answer["probabilities"] = {str(each.get("value")): each.get("probability") for each in given}
        named[one.get("name")] = answer
    return named


def _open_ai_question(prepared: Prepared, question: Question) -> dict[str, Any]:
    def told(value: Any) -> dict[str, str]:
        if prepared.shown_in(value):
            raise ValueError(f"judge: {question.name!r} shows an image in an option; /v1/decisions has none there")
        text = "".join(text for text, _ in prepared.pieces(value))
        return {"description": text} if text else {}

    pairs = list(zip(question.options, question.descriptions, strict=True))
    instructions = _open_ai_parts(prepared, question.instructions)
    if question.type == "choice":
        listed = {"choices": [{"value": option, **told(description)} for option, description in pairs]}
    elif question.type == "score":
        listed = {"levels": [{"label": option, **told(description)} for option, description in pairs]}
    else:
        lines = [f"{option}: {told(value)['description']}" for option, value in pairs if value]
        instructions += [{"type": "input_text", "text": "\n" + "\n".join(lines)}] if lines else []
        return {"type": "predicate", "name": question.name, "instructions": instructions}
    return {"type": question.type, "name": question.name, "instructions": instructions, **listed}


def _open_ai_parts(prepared: Prepared, value: Any) -> list[dict[str, Any]]:
    return [
        {"type": "input_image", "image_url": data_url(prepared.pngs[piece])}
        if is_image
        else {"type": "input_text", "text": piece}
        for piece, is_image in prepared.pieces(value)
    ]
