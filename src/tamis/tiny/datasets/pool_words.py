"""The sources of SCALE's pool that are questions with one word for an answer, on charts, documents, geometry."""

from __future__ import annotations

import random
import string
from typing import Any

from tamis.tiny import questions
from tamis.tiny.conversations import VAGUE, general_caption
from tamis.tiny.datasets.pool_rows import Drawn, Source, truths
from tamis.tiny.questions import Question

_BARE = ("wrong answer", "vague text", "blur", "mismatch")  # a single word cannot be cut short
_CHOSEN = ("wrong answer", "blur", "mismatch")  # nor can a choice be vague


def _asked(drawn: Drawn, choices: int = 2) -> tuple[Question, str, dict[str, Any]]:
    """A question with at least so many choices, the answer as the row gives it, and the row's truths."""
    while True:
        question = questions.ask(drawn.told, drawn.draw)
        if len(question.wrong) >= choices - 1 and not drawn.answers_rightly(question.text):
            break
    complexity = 1 + questions.DIFFICULTIES.index(question.difficulty)
    if drawn.fault == "vague text":
        return question, drawn.draw.choice(VAGUE), truths(drawn, question.task, 1, complexity, 2, 1)
    answer = drawn.draw.choice(question.wrong) if drawn.fault == "wrong answer" else question.answer
    return question, answer, truths(drawn, question.task, 2, complexity, 3, 4)


def _options(question: Question, given: str, draw: random.Random) -> list[str]:
    """Four with the right one and the given one among them."""
    return question.options(draw, 4, among=given if given != question.answer else None)


def _geometry3k(number: int, drawn: Drawn) -> dict[str, Any]:
    question, answer, true = _asked(drawn, choices=4)
    choices = _options(question, answer, drawn.draw)
    return true | {
        "images": [drawn.shown],
        "problem": f"<image>{question.text}",
        "answer": answer,
        "id": number,
        "choices": choices,
        "ground_truth": string.ascii_uppercase[choices.index(answer)],
    }


def _chartqa(number: int, drawn: Drawn) -> dict[str, Any]:
    question, answer, true = _asked(drawn)
    return true | {
        "image": drawn.shown,
        "query": question.text,
        "label": [answer],
        "human_or_machine": number % 2,
    }


def _docvqa(number: int, drawn: Drawn) -> dict[str, Any]:
    question, answer, true = _asked(drawn)
    return true | {
        "questionId": str(number),
        "question": question.text,
        "question_types": ["figure/diagram"],
        "image": drawn.shown,
        "docId": number,
        "ucsf_document_id": f"doc{number:04d}",
        "ucsf_document_page_no": "1",
        "answers": [answer],
        "data_split": "train",
    }


def _infovqa(number: int, drawn: Drawn) -> dict[str, Any]:
    question, answer, true = _asked(drawn)
    return true | {
        "questionId": str(number),
        "question": question.text,
        "image": drawn.shown,
        "answers": [answer],
        "data_split": "train",
    }


def _a_okvqa(number: int, drawn: Drawn) -> dict[str, Any]:
    question, answer, true = _asked(drawn, choices=4)
    choices = _options(question, answer, drawn.draw)
    return true | {
        "image": drawn.shown,
        "question_id": f"q{number:05d}",
        "question": question.text,
        "choices": choices,
        "correct_choice_idx": choices.index(answer),
        "direct_answers": str([answer] * 10),
        "difficult_direct_answer": False,
        "rationales": [f"it is {answer}.", general_caption(drawn.told)],
    }


GEOMETRY3K = Source(
    {
        "images": ("image[]", "one scene"),
        "problem": ("string", "`<image>` and the question"),
        "answer": ("string", "the chosen option"),
        "id": ("int64", "unique"),
        "choices": ("string[]", "four options"),
        "ground_truth": ("string", "the chosen option's letter"),
    },
    _geometry3k,
    _CHOSEN,
)
CHARTQA = Source(
    {
        "image": ("image", "the scene"),
        "query": ("string", "the question"),
        "label": ("string[]", "the answer"),
        "human_or_machine": ("human|machine", "without meaning here"),
    },
    _chartqa,
    _BARE,
)
DOCVQA = Source(
    {
        "questionId": ("string", "unique"),
        "question": ("string", "the question"),
        "question_types": ("string[]", "without meaning here"),
        "image": ("image", "the scene"),
        "docId": ("int64", "without meaning here"),
        "ucsf_document_id": ("string", "without meaning here"),
        "ucsf_document_page_no": ("string", "without meaning here"),
        "answers": ("string[]", "the answer"),
        "data_split": ("string", "train"),
    },
    _docvqa,
    _BARE,
)
INFOVQA = Source(
    {
        "questionId": ("string", "unique"),
        "question": ("string", "the question"),
        "image": ("image", "the scene"),
        "answers": ("string[]", "the answer"),
        "data_split": ("string", "train"),
    },
    _infovqa,
    _BARE,
)
A_OKVQA = Source(
    {
        "image": ("image", "the scene"),
        "question_id": ("string", "unique"),
        "question": ("string", "the question"),
        "choices": ("string[]", "four options"),
        "correct_choice_idx": ("int64", "the chosen option, from 0"),
        "direct_answers": ("string", "the answer ten times, as a list written out"),
        "difficult_direct_answer": ("bool", "always false"),
        "rationales": ("string[]", "two: the answer, and a caption of the scene"),
    },
    _a_okvqa,
    _CHOSEN,
)
