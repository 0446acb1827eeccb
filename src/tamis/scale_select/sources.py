"""The eight sources of SCALE's pool, and any dataset of conversations: where each is found, how a row of it is read.

A question with choices is rendered as the question and a line a choice, `A. ...`; the reply is the choice's text, not
its letter: that is what judges can rate without the letters' meaning.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tamis.named_files import NotUsable
from tamis.scale_select.conversations import ASSISTANT, PLACEHOLDER, USER

NO_QUESTION, NO_ANSWER = "no question", "no answer"
NO_CHOICES = "choices that cannot be shown"

Row = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """How a source writes its rows down. turns: a row -> its turns as they stand there, before tidy() saw them."""

    turns: Callable[[Row], Any]
    columns: tuple[str, ...]  # needed; of conversations the first of these that there is
    pictures: tuple[str, ...] = ("image",)  # the first of these that there is
    is_talk: bool = False  # a conversation, which may be of text alone; else a question about a picture
    marked: bool = False  # `<image>` shows where the picture belongs


@dataclass(frozen=True)
class Place:
    """Where a source is on the Hub. files: JSON, a list of rows or a row a line, which leave pictures to a folder."""

    dataset: str
    dataset_config: str | None = None
    split: str = "train"
    files: tuple[str, ...] = ()


def _conversations(row: Row) -> Any:
    return row.get("conversations")


def _any_conversation(row: Row) -> Any:
    return next((row[name] for name in ANY_TALK.columns if row.get(name) is not None), None)


def _geometry3k(row: Row) -> Any:
    return _asked(_with_choices(row.get("problem"), row.get("choices")), row.get("answer"))


def _chartqa(row: Row) -> Any:
    label = row.get("label")
    texts = isinstance(label, list) and all(isinstance(one, str) for one in label)
    return _asked(row.get("query"), ", ".join(label) if texts else None)


def _first_answer(row: Row) -> Any:
    """Its answers are ways to write down one."""
    answers = row.get("answers")
    return _asked(row.get("question"), answers[0] if isinstance(answers, list) and answers else None)


def _a_okvqa(row: Row) -> Any:
    choices, right = row.get("choices"), row.get("correct_choice_idx")
    known = isinstance(choices, list) and isinstance(right, int) and 0 <= right < len(choices)
    return _asked(_with_choices(row.get("question"), choices), choices[right] if known else None)


def _asked(question: Any, answer: Any) -> list[dict[str, str]]:
    if not isinstance(question, str) or not question.replace(PLACEHOLDER, "").strip():
        raise NotUsable(NO_QUESTION)
    if not isinstance(answer, str) or not answer.strip():
        raise NotUsable(NO_ANSWER)
    return [{"role": USER, "content": question}, {"role": ASSISTANT, "content": answer}]


def _with_choices(question: Any, choices: Any) -> Any:
    if not choices or not isinstance(question, str):
        return question
    letters = string.ascii_uppercase
    shown = isinstance(choices, list) and len(choices) <= len(letters)
    if not shown or not all(isinstance(one, str) and one.strip() for one in choices):
        raise NotUsable(NO_CHOICES)
    lines = [f"{letter}. {one.strip()}" for letter, one in zip(letters, choices, strict=False)]
    return "\n".join([question.strip(), *lines])


TALK = Form(_conversations, ("conversations",), is_talk=True, marked=True)
ANY_TALK = Form(_any_conversation, ("conversations", "messages"), pictures=("image", "images"), is_talk=True)
ANSWERED = Form(_first_answer, ("question", "answers"))

FORMS = {
    "LLaVA-1.5-mix": TALK,
    "ShareGPT4V": TALK,
    "AS-V2": TALK,
    "Geometry3K": Form(_geometry3k, ("problem", "answer", "choices"), pictures=("images",)),
    "ChartQA": Form(_chartqa, ("query", "label")),
    "DocVQA": ANSWERED,
    "InfoVQA": ANSWERED,
    "A-OKVQA": Form(_a_okvqa, ("question", "choices", "correct_choice_idx")),
    "conversations": ANY_TALK,  # of any dataset, which must be named
}
PLACES = {
    "LLaVA-1.5-mix": Place("liuhaotian/LLaVA-Instruct-150K", files=("llava_v1_5_mix665k.json",)),
    "ShareGPT4V": Place("Lin-Chen/ShareGPT4V", files=("share-captioner_coco_lcs_sam_1246k_1107.json",)),
    "AS-V2": Place(
        "OpenGVLab/AS-V2",
        files=(
            "rec_conversation_22k.json",
            "rec_detailed_description_42k.json",
            "rec_region_captioning_63k.json",
        ),
    ),
    "Geometry3K": Place("hiyouga/geometry3k"),
    "ChartQA": Place("HuggingFaceM4/ChartQA"),
    # The copies of lmms-lab/DocVQA came without a training split; of DocVQA this one, in the same columns, has it.
    "DocVQA": Place("HuggingFaceM4/DocumentVQA"),
    "InfoVQA": Place("lmms-lab/DocVQA", dataset_config="InfographicVQA", split="validation"),
    "A-OKVQA": Place("HuggingFaceM4/A-OKVQA"),
}
