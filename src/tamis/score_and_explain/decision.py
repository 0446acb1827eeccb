"""The tuned scorer as a decision model: `decision.json` by which stock transformers asks it for a score in one pass.

The question that the library puts is the prompt that was trained on, and its reply begun with "#Score: "; the labels
whose logits it reads are the digits that follow. So what is read is what the model learnt to write, and no letters
stand for scores. What the request says in instructions and levels is not shown to the model.

The library reads labels of one token. Where "10" is one, a question of type `score` has ten levels. Where it is "1" and
"0" (Qwen and most others), 1 and 10 begin alike: the `score` has nine levels, the first of which is "1 or 10", and a
question of type `noul` reads behind "#Score: 1" whether a 0 follows. What is lost: that a line ends behind its number
is taken for granted, but for "1". A model that keeps to the form loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tamis.config import ConfigError
from tamis.judge.asking import asked_plainly
from tamis.score_and_explain.scales import HIGH, LOW
from tamis.score_and_explain.score_lines import LINES, SCORES

CONFIG, TEMPLATE = "decision.json", "decision_template.jinja"
FIRST = "1 or 10"  # what the first of nine levels is called


@dataclass(frozen=True)
class Reading:
    """How a tokenizer cuts the ten score lines."""

    begun: str  # what all of them begin with
    labels: tuple[str, ...]  # what follows: ten, or nine where "10" begins as "1" does
    ten: tuple[str, str, str] | None = None  # what 1 and 10 have in common, what makes it 10, what ends a 1

    @property
    def levels(self) -> list[str]:
        return [FIRST, *map(str, SCORES[1:-1])] if self.ten else [str(score) for score in SCORES]


def reading(tokenizer: Any) -> Reading:
    """Where the labels stand, of single tokens; refused where a tokenizer cuts the lines in some other way."""
    for begun in ("#Score: ", "#Score:"):
        if found := _reading(tokenizer, begun):
            return found
    raise ConfigError("decision: this tokenizer does not cut score lines into digits; no label stands for a score")


def _reading(tokenizer: Any, begun: str) -> Reading | None:
    def cut(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    start, whole = cut(begun), [cut(line) for line in LINES]
    if any(ids[: len(start)] != start for ids in whole):
        return None
    rests = [ids[len(start) :] for ids in whole]
    labels = [line.removeprefix(begun).removesuffix("\n") for line in LINES]
    known = [cut(label) == rest[:1] for label, rest in zip(labels, rests, strict=True)]
    if all(known) and len({rest[0] for rest in rests}) == len(rests):
        return Reading(begun, tuple(labels))
    one, ten = rests[0], rests[-1]
    more = labels[-1].removeprefix(labels[0])
    apart = len({rest[0] for rest in rests[:-1]}) == len(rests) - 1 and all(known[:-1])
    told = one[:1] == ten[:1] and one[1:2] == cut("\n") and ten[1:2] == cut(more) and one[1:2] != ten[1:2]
    return Reading(begun, tuple(labels[:-1]), (labels[0], more, "\n")) if apart and told else None


def decision_files(
    processor: Any, prompt: str, temperature: Mapping[str, float], *, adapter: str | None
) -> dict[str, str]:
    """What lies beside the weights, by file name. adapter: the folder of the repo that holds a LoRA; None: the
    repo holds the model.

    prompt: score_and_explain/explain, as the model was trained to answer it. temperature: as calibrating.py fits it.
    """
    from transformers.decision import DecisionConfig

    read = reading(getattr(processor, "tokenizer", processor))
    labels = {"score": list(read.labels)} | ({"noul": list(read.ten[1:])} if read.ten else {})
    config = DecisionConfig(
        labels=labels,
        temperature=dict(temperature),
        chat_template=template(processor, prompt, read),
        adapter=adapter,
    )
    _refuse_other_prompt(processor, prompt, config.chat_template, read)
    told = asdict(config)
    asked = told.pop("chat_template")
    return {CONFIG: json.dumps(told, indent=2) + "\n", TEMPLATE: asked}


def template(processor: Any, prompt: str, read: Reading) -> str:
    """The model's own chat template, with the messages in it and the beginning of the reply behind it."""
    own = processor.chat_template
    if not isinstance(own, str):
        raise ConfigError("decision: the model has no chat template, or several; expected one")
    said = json.dumps(prompt, ensure_ascii=False)
    refusals = [
        (
            "state is string or state is mapping or state|length != 1 or state[0].type != 'image'",
            "the state is to be one image, and nothing else",
        ),
        (
            f"question.type == 'score' and question.options|length != {len(read.labels)}",
            f"a score has these {len(read.labels)} levels: {', '.join(read.levels)}",
        ),
        (
            "question.type == 'choice'" if read.ten else "question.type != 'score'",
            "the model scores pictures, and answers nothing else",
        ),
    ]
    checks = "".join(f"{{% if {when} %}}{{{{ raise_exception({why!r}) }}}}{{% endif %}}" for when, why in refusals)
    messages = f"[{{'role': 'user', 'content': [{{'type': 'image'}}, {{'type': 'text', 'text': {said}}}]}}]"
    # The file's last newline is dropped by jinja where it stands last, and here it does no longer.
    shown = own.removesuffix("\n")
    ten = f"{{% if question.type == 'noul' %}}{{{{ {read.ten[0]!r} }}}}{{% endif %}}" if read.ten else ""
    return f"{checks}{{% set messages = {messages} %}}{shown}{{{{ {read.begun!r} }}}}{ten}"


def three_lines(repo_id: str, read: Reading, *, base: str | None = None) -> str:
    """How stock transformers scores a picture with it. base: the model that the repo's LoRA is for."""
    named = f'"{repo_id}"'
    if base is not None:
        named = f'"{base}", decision_config="{repo_id}"'
    questions: dict[str, Any] = {"score": {"type": "score", "criteria": read.levels}}
    score = '1 + said["score"]["score"]'
    if read.ten:
        questions["ten"] = {"type": "noul"}
        score += f' + {HIGH - LOW} * said["score"]["probabilities"]["0"] * said["ten"]["noul"]'
    request = f'{{"state": "photo", "assets": {{"photo": "photo.jpg"}}, "questions": {json.dumps(questions)}}}'
    return f'from transformers import pipeline\nsaid = pipeline("decision", model={named})({request})\nprint({score})'


def _refuse_other_prompt(processor: Any, prompt: str, asked: str, read: Reading) -> None:
    """The library must come to the very text that the model was trained to go on from, cut in the same way."""
    tokenizer = getattr(processor, "tokenizer", processor)
    thinking = asked_plainly(processor.chat_template)
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    usual = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False, **thinking
    )
    for kind, begun in (("score", read.begun), *((("noul", read.begun + read.ten[0]),) if read.ten else ())):
        question = {"type": kind, "options": read.levels}
        library = processor.apply_chat_template(
            [{"role": "user", "content": ""}],
            chat_template=asked,
            add_generation_prompt=True,
            tokenize=False,
            state=[{"type": "image"}],
            question=question,
            **thinking,
        )
        apart = [token for part in (usual, begun) for token in tokenizer.encode(part, add_special_tokens=False)]
        if library != usual + begun or tokenizer.encode(library, add_special_tokens=False) != apart:
            raise ConfigError(
                "decision: the model's chat template cannot be asked as it was trained; none is published"
            )
