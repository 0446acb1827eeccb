"""How fast are three ratings of one text by one judge, against three prompts, and against a reply in JSON?

    OMP_NUM_THREADS=1 python benchmarks/rating_speed.py

A conversation of so many tokens is rated for informativeness, complexity and completeness by the full wordings of
tamis/prompts/scale. The judge has the shape of SmolVLM-256M (see judge_speed.py), random weights, float32; it is shown
no picture. Ours is the scorer `rating`: all that the three prompts have in common is read once.

- three prompts: the library's own pipeline("decision"), a question at a time. Its levels must be ours.
- batched prompts: ours, asked to share nothing: the three prompts whole, in one batch.
- generate and parse: one prompt that asks for all three and an overall rating as SCALE's code does of texts, and stock
  `generate`, greedily, of the reply in JSON. The weights being random, the reply is held to that form, its digits free:
  as long as a judge's that keeps to the form. It gives whole numbers of its own, so no score is compared.
- generate with a reason: the same, and a reason of 64 tokens, as SCALE's code asks for of texts with captions.

The ways take turns. Times are of the processor, so that other work on the machine hardly counts; the clock beside.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from judge_speed import build
from measuring import Spent, report

from tamis.judge import LocalJudge, Request
from tamis.judge.asking import as_library
from tamis.judge.deciding import decide
from tamis.judge.loading import Loaded
from tamis.judge.prompts import prompts_of, shared_length
from tamis.prompts import lines, source
from tamis.scorers.rating import Rating

SETTINGS = {"batch_size": 16, "tokens": 65536, "max_pixels": 1, "order_seed": None}
REASON = 64  # tokens


def conversation(tokenizer: Any, tokens: int) -> str:
    """Questions and answers of words by chance, as long as asked for in this tokenizer's tokens."""
    words = sorted({word for name in ("clarity", "relevance", "task") for word in source(f"scale/{name}").split()})
    draw, turns = random.Random(0), []
    while len(tokenizer("\n".join(turns))["input_ids"]) < tokens:
        turns.append(f"{('human', 'gpt')[len(turns) % 2]}: {' '.join(draw.choices(words, k=12))}.")
    return "\n".join(turns)


def in_json(scorer: Rating, told: str) -> str:
    """One prompt for all: the text once, then what each criterion asks, its levels, and the form of the reply."""
    asked = []
    for name in scorer.criteria:
        question = scorer._question(name, scorer.prepare({"text": told}))["instructions"]
        before, _, own = question.rpartition("\n")
        levels = [f"{at}. {level}" for at, level in enumerate(lines(f"scale/{name}.levels"), start=1)]
        asked.append("\n".join([f"{name}: {own}", *levels]))
    form = json.dumps(dict.fromkeys([*scorer.criteria, "overall rating"], "1 to 5"))
    return "\n".join([before, *asked, f"Reply with JSON and nothing else: {form}"])


class Written:
    """`generate`, held to the form of the reply: what is free is its digits and the words of its reason."""

    def __init__(self, loaded: Loaded, criteria: list[str], reason: int) -> None:
        self.loaded, self.criteria, tokenizer = loaded, criteria, loaded.tokenizer

        def tokens(text: str) -> list[list[int]]:
            return [[one] for one in tokenizer(text, add_special_tokens=False)["input_ids"]]

        digits = tokenizer.convert_tokens_to_ids(list("12345"))
        self.form: list[list[int]] = []  # the tokens that each place of the reply may have
        for at, name in enumerate([*criteria, "overall rating"]):
            self.form += [*tokens(f"{', ' if at else '{'}{json.dumps(name)}: "), digits]
        if reason:
            words = [one for told, one in tokenizer.get_vocab().items() if told.isascii() and told.isalpha()]
            self.form += [*tokens(', "reason": "'), *[words] * reason, *tokens('"')]
        self.form += tokens("}")

    @torch.inference_mode()
    def __call__(self, prompt: str) -> dict[str, int]:
        tokenizer = self.loaded.tokenizer
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        inputs = {name: inputs[name].to(self.loaded.device) for name in ("input_ids", "attention_mask")}
        length = inputs["input_ids"].shape[1]

        def allowed(_: int, ids: torch.Tensor) -> list[int]:
            return self.form[len(ids) - length]

        written = self.loaded.model.generate(
            **inputs, max_new_tokens=len(self.form), do_sample=False, prefix_allowed_tokens_fn=allowed
        )
        reply = json.loads(tokenizer.decode(written[0, length:], skip_special_tokens=True))
        return {name: int(reply[name]) for name in self.criteria}


def by_pipeline(loaded: Loaded, scorer: Rating, told: dict[str, str]) -> dict[str, float]:
    from transformers import DecisionPipeline

    ask = DecisionPipeline(
        model=loaded.model, tokenizer=loaded.tokenizer, processor=loaded.processor, decision_config=loaded.config
    )
    levels = {}
    for name in scorer.criteria:
        asked = as_library(Request("", {name: scorer._question(name, told)}), 1)
        levels[name] = 1 + ask(asked)[name]["score"]
    return levels


def measured(loaded: Loaded, judge: LocalJudge, tokens: int, runs: int) -> dict[str, Any]:
    scorer = Rating(judge)
    text = conversation(loaded.tokenizer, tokens)
    told = scorer.prepare({"text": text})
    request = Request("", {name: scorer._question(name, told) for name in scorer.criteria})
    apart, prompt = replace(loaded, whole="asked not to"), in_json(scorer, text)
    written, reasoned = (Written(loaded, scorer.criteria, reason) for reason in (0, REASON))

    def ours() -> dict[str, float]:
        rated = scorer({name: [value] for name, value in told.items()})
        return {name: rated[f"rating_{name}"][0] for name in scorer.criteria}

    def batched() -> dict[str, float]:
        [answers] = decide(apart, [request], **SETTINGS)
        return {name: 1 + answer["score"] for name, answer in answers.items()}

    ways: dict[str, Callable[[], dict[str, float]]] = {
        "ours": ours,
        'three prompts, pipeline("decision")': lambda: by_pipeline(loaded, scorer, told),
        "batched prompts": batched,
        "generate and parse": lambda: written(prompt),
        "generate with a reason": lambda: reasoned(prompt),
    }
    levels = {name: way() for name, way in ways.items()}  # and what is made at the first call
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            before = Spent.now()
            way()
            spent[name].append(Spent.since(before))
            print(len(spent[name]), name, spent[name][-1], file=sys.stderr, flush=True)
    prompts = prompts_of(as_library(request, 1), loaded)
    common, reason = shared_length(prompts, loaded)
    assert reason is None, reason
    own = [int(one.marks[0]) - common for one in prompts]
    return {
        "tokens": {
            "of_the_text": len(loaded.tokenizer(text)["input_ids"]),
            "shared": common,
            "own": own,
            "of_the_prompt_for_json": len(loaded.tokenizer(prompt)["input_ids"]),
            "of_the_reply": len(written.form),
            "of_the_reply_with_a_reason": len(reasoned.form),
        },
        "seconds": {
            name: {what: round(statistics.median(getattr(one, what) for one in found), 3) for what in Spent._fields}
            for name, found in spent.items()
        },
        "times_as_fast_as": {
            name: {what: _ratios(spent[name], spent["ours"], what) for what in Spent._fields}
            for name in ways
            if name != "ours"
        },
        "by_tokens_alone": round(sum(common + one for one in own) / (common + sum(own)), 2),
        "largest_difference_of_a_level": {
            name: max(abs(levels[name][one] - levels["ours"][one]) for one in scorer.criteria)
            for name in ways
            if name != "ours" and not name.startswith("generate")
        },
    }


def _ratios(peer: list[Spent], own: list[Spent], what: str) -> dict[str, float]:
    """Turn by turn."""
    found = [getattr(one, what) / getattr(other, what) for one, other in zip(peer, own, strict=True)]
    told = {"median": statistics.median(found), "low": min(found), "high": max(found)}
    return {name: round(value, 2) for name, value in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("256m", "4b"), default="256m")
    parser.add_argument("--tokens", type=int, nargs="+", default=[300, 360, 600], help="of the text, at least")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judge = LocalJudge(model=build(Path(folder), given.shape), order_seed=None)
        loaded = judge._loaded()
        assert loaded.whole is None, loaded.whole
        figures = {f"{tokens}": measured(loaded, judge, tokens, given.runs) for tokens in given.tokens}
    report(
        f"rating_speed_{given.shape}" + ("_gpu" if torch.cuda.is_available() else ""),
        {"runs": given.runs, "threads": torch.get_num_threads(), "texts_of_tokens": figures},
    )


if __name__ == "__main__":
    main()
