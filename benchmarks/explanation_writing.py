"""How fast are a picture's two explanations written, against one `generate` a prompt?

    OMP_NUM_THREADS=2 python benchmarks/explanation_writing.py

For every picture a reply to score_and_explain's prompt is begun with the true score and one with a wrong score, and
gone on with for 64 tokens, the likeliest ones; every fourth wrong score is 10. The model has the shape of
SmolVLM-256M (see judge_speed.py), random weights, float32: no reply ends early, so all ways write as many tokens.

- one generate: stock transformers, a prompt at a time, its picture prepared and read for each; of the first pictures
  alone, by the explanation.
- batches alone: ours, asked to share nothing.

The three take turns, and all must write the same texts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from judge_speed import SHAPES, build
from measuring import Spent, report
from PIL import Image

from tamis.judge import Ask, LocalJudge
from tamis.judge.loading import Loaded
from tamis.judge.writing import write
from tamis.prompts import render
from tamis.score_and_explain.replies import begun


def asked(pictures: int, side: int) -> list[Ask]:
    numbers, asks = np.random.default_rng(0), []
    prompt = render("score_and_explain/explain", lowest=1, highest=10)
    for place in range(pictures):
        picture = Image.fromarray(numbers.integers(0, 255, (side, side, 3), dtype=np.uint8))
        scores = (3 + place % 5, 10 if place % 4 == 3 else 1)
        asks += [Ask(prompt, (picture,), begun(score)) for score in scores]
    return asks


def ours(loaded: Loaded, asks: list[Ask], tokens: int, batch_size: int) -> list[str]:
    settings = {"temperature": 0.0, "seed": 0, "tokens": 65536, "max_pixels": 10**7}
    return write(loaded, asks, max_new_tokens=tokens, batch_size=batch_size, **settings)


@torch.inference_mode()
def one_generate(loaded: Loaded, asks: list[Ask], tokens: int) -> list[str]:
    texts = []
    for ask in asks:
        content = [{"type": "image"}, {"type": "text", "text": ask.text}]
        told = loaded.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = loaded.processor(text=told + ask.begun, images=list(ask.images), return_tensors="pt")
        inputs = inputs.to(loaded.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(loaded.model.dtype)
        written = loaded.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        new = written[:, inputs["input_ids"].shape[1] :]
        texts += loaded.processor.batch_decode(new, skip_special_tokens=True)
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="256m")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--of_one_generate", type=int, default=4, help="pictures")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loaded = LocalJudge(model=build(Path(folder), given.shape), max_pixels=10**7)._loaded()
        assert loaded.whole is None, loaded.whole
        asks = asked(given.pictures, SHAPES[given.shape][3]["image_size"])
        apart = replace(loaded, whole="asked not to")
        ways: dict[str, Callable[[], list[str]]] = {
            "ours": lambda: ours(loaded, asks, given.tokens, len(asks)),
            "batches alone": lambda: ours(apart, asks, given.tokens, len(asks)),
            "one generate": lambda: one_generate(loaded, asks[: 2 * given.of_one_generate], given.tokens),
        }
        one_generate(loaded, asks[:1], 2)  # what is made at the first call
        spent: dict[str, list[Spent]] = {name: [] for name in ways}
        for _ in range(given.runs):
            texts = {}
            for name, way in ways.items():
                before = Spent.now()
                texts[name] = way()
                took = Spent.since(before)
                spent[name].append(Spent(*(one / len(texts[name]) for one in took)))
                print(name, spent[name][-1], "an explanation", file=sys.stderr, flush=True)
            for name, told in texts.items():
                assert told == texts["ours"][: len(told)], name
    report(
        f"explanation_writing_{given.shape}" + ("_gpu" if torch.cuda.is_available() else ""),
        {
            "pictures": given.pictures,
            "explanations": len(asks),
            "tokens": given.tokens,
            "runs": given.runs,
            "threads": torch.get_num_threads(),
            "seconds_an_explanation": {
                name: {what: round(statistics.median(getattr(one, what) for one in found), 3) for what in Spent._fields}
                for name, found in spent.items()
            },
            "times_as_fast_as": {
                name: {what: _ratios(spent[name], spent["ours"], what) for what in Spent._fields}
                for name in ways
                if name != "ours"
            },
            "texts_that_differ": 0,
        },
    )


def _ratios(peer: list[Spent], own: list[Spent], what: str) -> dict[str, float]:
    """Turn by turn."""
    found = [getattr(one, what) / getattr(other, what) for one, other in zip(peer, own, strict=True)]
    told = {"median": statistics.median(found), "low": min(found), "high": max(found)}
    return {name: round(value, 2) for name, value in told.items()}


if __name__ == "__main__":
    main()
