"""Conversations as a model's chat template writes them: asked as a judge asks, and replied to as it is to write.

Some templates write another beginning of a turn where they are given its text than where they ask for it (a space, a
line, an empty thought): the prompt is always what it is asked with later, and the reply the words by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.judge.asking import asked_plainly

if TYPE_CHECKING:
    from tamis.sources import Source

PROBE = "#Score: 7\n#Explanation: it is so."
Messages = list[dict[str, Any]]


def prompt(processor: Any, messages: Messages, image: Any) -> str:
    """What the judge's writing asks with: up to where the reply begins. The image, where there is one, stands before
    the first message."""
    asked = _with_image(messages, image)
    return processor.apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True, **asked_plainly(processor.chat_template)
    )


def reply(processor: Any, messages: Messages, said: Messages, image: Any) -> str:
    """Its text as it is, and what the template writes behind the text of an assistant."""
    behind = _behind(processor, _with_image(messages, image))
    if behind is None:
        raise ConfigError(_unfit(type(processor).__name__))
    return said[0]["content"] + behind


def refuse_unfit_template(base_model: str, base: Source) -> None:
    """Before anything is asked or trained: a template that writes a reply in other words than its own."""
    from transformers import AutoProcessor

    refuse_unfit(AutoProcessor.from_pretrained(base_model, revision=base.revision), base)


def refuse_unfit(processor: Any, base: Source) -> None:
    if _behind(processor, [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]) is None:
        raise ConfigError(_unfit(base.repo_id))


def _unfit(what: str) -> str:
    return (
        f"base_model: the chat template of {what!r} does not hold what an assistant says as it is; expected one that "
        "does: what it is to say could not be told from what stands around"
    )


def _with_image(messages: Messages, image: Any) -> Messages:
    from trl.data_utils import prepare_multimodal_messages

    return prepare_multimodal_messages(messages, images=[] if image is None else [image])


def _behind(processor: Any, asked: Messages) -> str | None:
    whole = processor.apply_chat_template(
        [*asked, {"role": "assistant", "content": [{"type": "text", "text": PROBE}]}],
        tokenize=False,
        **asked_plainly(processor.chat_template),
    )
    _, found, behind = whole.rpartition(PROBE)
    return behind if found else None
