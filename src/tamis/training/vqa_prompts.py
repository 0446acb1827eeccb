"""How a question is put to BLIP, and how an answer is written for it: in training and in evaluation by this code.

The report's notebook trains with "Question:" before each question and evaluates without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def as_asked(question: str, prefix: str) -> str:
    return f"{prefix}{question.strip()}"


def question_ids(
    tokenizer: PreTrainedTokenizerBase, questions: list[str], *, prefix: str, longest: int
) -> list[tuple[list[int], bool]]:
    """The tokens of each question, at most `longest` with the two at its ends, and whether it was cut to that.

    A question that spells a control token spells it: text of a dataset cannot end the prompt.
    """
    asked = [as_asked(question, prefix) for question in questions]
    return [
        (ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]], len(ids) > longest)
        for ids in _ids(tokenizer, asked)
    ]


def answer_ids(
    tokenizer: PreTrainedTokenizerBase, answers: list[str], *, start: int, longest: int
) -> list[tuple[list[int], bool]]:
    """The tokens of each answer, at most `longest`, and whether it was cut to that.

    They begin with `start`, the token that generation begins with (BLIP's [DEC]; its tokenizer writes [CLS]), and end
    with the one that generation ends with, unless the answer was cut: that it ends there would be a lie.
    """
    written = [[start, *ids[1:]] for ids in _ids(tokenizer, [answer.strip() for answer in answers])]
    return [(ids[:longest], len(ids) > longest) for ids in written]


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, split_special_tokens=True, return_attention_mask=False).input_ids if texts else []
