"""Decisions and texts by chat completions: the library's generic prompt, read from the likeliest first tokens."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from tamis.images import fitted
from tamis.judge.api_calls import Exchange, Refusal
from tamis.judge.api_routes import Found, Prepared, data_url, png
from tamis.judge.asking import Ask

if TYPE_CHECKING:
    from transformers.decision import Question

MOST_OPTIONS = 26  # letters
# A label is one token, and the first is all that the local judge reads of a chat model too. Asked for more, models that
# go on ("C red") would have to be parsed.
REPLY_TOKENS = 1


def chat(prepared: Prepared, top_logprobs: int | None) -> list[Exchange]:
    """One call a question. Everything is the user's message; whether control tokens in it are escaped is the server's.

    Probabilities are the labels' among the likeliest tokens of the reply's first place, made to sum to 1. A label that
    is not among them has at most the least likely one's probability, and all tokens that are not have what remains:
    it gets the smaller of the two, with what remains shared between such labels. Where the server gives no
    log-probabilities, the label that the reply consists of has probability 1.
    """
    from transformers.decision.template_utils import DECISION_PROMPT
    from transformers.utils.chat_template_utils import _compile_jinja_template  # its tojson leaves letters as they are

    template = _compile_jinja_template(DECISION_PROMPT)
    exchanges = []
    for question in prepared.questions:
        content = [
            {"type": "image_url", "image_url": {"url": data_url(prepared.pngs[piece])}}
            if is_image
            else {"type": "text", "text": piece}
            for piece, is_image in prepared.pieces(template.render(state=prepared.state, question=question))
        ]
        body: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        body |= {"max_tokens": REPLY_TOKENS, "temperature": 0.0}
        if top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": top_logprobs}
        exchanges.append(Exchange(body, _reader(question), (question.name,)))
    return exchanges


def _reader(question: Question) -> Any:
    def read(reply: dict[str, Any]) -> Found:
        weights = label_weights(question.labels, _first(reply))
        if isinstance(weights, dict):
            weights = dict(zip(question.options, (weights[label] for label in question.labels), strict=True))
        return {question.name: weights}

    return read


def label_weights(labels: list[str], choice: dict[str, Any]) -> dict[str, float] | Refusal:
    likely = _likeliest(choice)
    if likely is None:
        text = choice["message"].get("content") or ""
        word = re.fullmatch(r"\W*(\w+)\W*", text)
        if word is None or word[1] not in labels:
            return Refusal(f"{_ending(choice)}the reply is none of the labels: {text[:80]!r}")
        return {label: float(label == word[1]) for label in labels}
    weights = dict.fromkeys(labels, 0.0)
    for token, logprob in likely:
        if token.strip() in weights:
            weights[token.strip()] += math.exp(logprob)
    if not any(weights.values()):
        return Refusal(f"{_ending(choice)}no label among the likeliest tokens, first of them {likely[0][0]!r}")
    missing = [label for label, weight in weights.items() if weight == 0]
    left = max(0.0, 1 - sum(math.exp(logprob) for _, logprob in likely))
    least = min(math.exp(logprob) for _, logprob in likely)
    return weights | {label: min(least, left / len(missing)) for label in missing}


def _likeliest(choice: dict[str, Any]) -> list[tuple[str, float]] | None:
    """The likeliest tokens of the first place that is not blank."""
    for place in (choice.get("logprobs") or {}).get("content") or []:
        likely = [(one.get("token"), one.get("logprob")) for one in place.get("top_logprobs") or []]
        if not all(isinstance(token, str) and isinstance(logprob, int | float) for token, logprob in likely):
            raise ValueError("log-probabilities of no known shape")
        if likely and (place.get("token") or "").strip():
            return likely
    return None


def _first(reply: dict[str, Any]) -> dict[str, Any]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0].get("message"), dict):
        raise ValueError("no message in it")
    return choices[0]


def _ending(choice: dict[str, Any]) -> str:
    return "filtered by the server: " if choice.get("finish_reason") == "content_filter" else ""


def writing(
    ask: Ask,
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    max_pixels: int,
    continues: bool,
    structured: bool,
) -> Exchange:
    """One text. What it begins with is the assistant's last message, marked as one to go on with."""
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(png(fitted(image, max_pixels)))}} for image in ask.images
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": [*content, {"type": "text", "text": ask.text}]}]
    body: dict[str, Any] = {"messages": messages, "max_tokens": max_new_tokens, "temperature": temperature}
    if temperature > 0:
        body["seed"] = seed
    if ask.schema is not None and structured:
        told = {"name": "reply", "schema": ask.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": told}
    if ask.begun:
        if not continues:
            raise ValueError("judge: a reply's beginning was given; set continues where the server goes on with it")
        messages.append({"role": "assistant", "content": ask.begun})
        body["extra_body"] = {"continue_final_message": True, "add_generation_prompt": False}
    return Exchange(body, _text)


def _text(reply: dict[str, Any]) -> str | Refusal:
    choice = _first(reply)
    text = choice["message"].get("content")
    if text is None or choice.get("finish_reason") == "content_filter":
        return Refusal(f"{_ending(choice)}no text, finish_reason {choice.get('finish_reason')!r}")
    return text
