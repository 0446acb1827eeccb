"""How fast is the embedded world? The packaged models on one CPU thread, in processor seconds.

    python benchmarks/tiny_zoo_speed.py

- `quiz_ms`: tiny/vlm answers ten questions about a picture by `LocalJudge.decide`, as the recipes ask it: the picture
  is read once for all of them; mean over 32, prompts and pixels included.
- `pipeline_quiz_ms`: the same by transformers' own pipeline("decision"), which reads the picture for each question.
- `generate_s`: tiny/sd draws a batch of 8 in 25 steps with guidance.
- `lora_step_ms`: a step of LoRA (rank 16, attention) on tiny/sd at batch 8.
- `seeding_cold_s`, `seeding_warm_s`: the embedded Hub from nothing, and again.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import report

from tamis import localhub
from tamis.judge import LocalJudge, Request
from tamis.judge.asking import as_library
from tamis.tiny import WEIGHTS, captions, questions, seeds
from tamis.tiny.zoo.exercises import multiple_choice
from tamis.tiny.zoo.skill import picture, scenes
from tamis.tiny.zoo.skills_of_drawing import GUIDANCE, STEPS

PICTURES, QUESTIONS, TURNS = 32, 10, 5


def median_seconds(work: Callable[[], object], turns: int = TURNS) -> float:
    """Of processor time, so that a busy neighbour does not count; one turn before, to warm up."""
    taken = []
    for _ in range(turns + 1):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return sorted(taken[1:])[turns // 2]


def quiz() -> dict[str, float]:
    from transformers import pipeline

    folder, draw = str(WEIGHTS / "vlm"), random.Random(0)
    requests = []
    for scene in scenes(PICTURES, start=600_000):
        asked = {}
        for number in range(QUESTIONS):
            instructions, *options = multiple_choice(questions.ask(scene, draw), draw).prompt.split("\n")
            criteria = {option[2:]: None for option in options}
            asked[str(number)] = {"type": "choice", "instructions": instructions, "criteria": criteria}
        requests.append(Request(picture(scene), asked))
    judge, decide = LocalJudge(model=folder), pipeline("decision", model=folder)
    one_by_one = [as_library(request, judge.max_pixels) for request in requests[:4]]
    return {
        "quiz_ms": 1000 * median_seconds(lambda: judge.decide(requests)) / PICTURES,
        "pipeline_quiz_ms": 1000 * median_seconds(lambda: [decide(one) for one in one_by_one]) / len(one_by_one),
    }


def drawing() -> dict[str, float]:
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig

    pipeline = StableDiffusionPipeline.from_pretrained(WEIGHTS / "sd")
    pipeline.set_progress_bar_config(disable=True)
    prompts = [f"a photo of {captions.brief(scene)}" for scene in scenes(8, start=610_000)]

    def generate() -> None:
        pipeline(prompts, num_inference_steps=STEPS, guidance_scale=GUIDANCE)

    drawn = median_seconds(generate, 3)
    unet = pipeline.unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=16, lora_alpha=8, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    latents, states = torch.randn(8, 4, 16, 16), torch.randn(8, 32, 128)

    def step() -> None:
        found = unet(latents, torch.randint(0, 1000, (8,)), states).sample
        (found - latents).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return {"generate_s": drawn, "lora_step_ms": 1000 * median_seconds(step, 10)}


def seeding() -> dict[str, float]:
    """Wall time: what a user waits for."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("seeding_cold_s", "seeding_warm_s"):
            with localhub.live(Path(folder) / "hub") as hub:
                started = time.monotonic()
                localhub.seed(hub.store, seeds())
                figures[name] = time.monotonic() - started
    return figures


def main() -> None:
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"pictures": PICTURES, "questions": QUESTIONS}
    for part in (seeding, quiz, drawing):
        figures |= {name: round(value, 3) for name, value in part().items()}
    report("tiny_zoo_speed", figures)


if __name__ == "__main__":
    main()
