"""Rows as conversations to learn from: a prompt, and what is to be said to it, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis.prompts import render

if TYPE_CHECKING:
    from datasets import Dataset

PROMPT, COMPLETION = "prompt", "completion"


def messages(asked: str, said: str) -> dict[str, list[dict[str, str]]]:
    return {PROMPT: [{"role": "user", "content": asked}], COMPLETION: [{"role": "assistant", "content": said}]}


def answers(rows: Dataset, *, question_column: str, answer_column: str, wording: str) -> Dataset:
    """Questions as chat models are asked them in evaluation (scorer chat_vqa), and their answers. A row without either
    has no conversation: it is left out in training, and counted."""

    def told(question: Any, answer: Any) -> dict[str, Any]:
        if not isinstance(question, str) or not isinstance(answer, str) or not question.strip() or not answer.strip():
            return {PROMPT: None, COMPLETION: None}
        return messages(render("product_vqa/answer", wording=wording, question=question.strip()), answer.strip())

    from datasets import Features, List, Value

    message = List({"role": Value("string"), "content": Value("string")})
    features = Features({**rows.features, PROMPT: message, COMPLETION: message})
    return rows.map(told, input_columns=[question_column, answer_column], features=features, desc="conversations")
