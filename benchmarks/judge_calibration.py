"""Can the judge's probabilities be taken at their word? tiny/vlm on scenes whose truth the renderer wrote down.

    python benchmarks/judge_calibration.py

Multiple-choice questions with four options in a drawn order about scenes that nothing was trained on: accuracy, Brier
score (0 to 2, summed over the options) and expected calibration error (15 bins of equal width, an edge belongs to the
bin below it, at a tie a wrong option counts as taken). Letters of a chat model are not calibrated: by how much, this
says.
"""

from __future__ import annotations

import random
from dataclasses import asdict

from measuring import report

from tamis.judge import LocalJudge, Request
from tamis.metrics import calibration, stats
from tamis.prompts import render
from tamis.tiny import WEIGHTS, questions
from tamis.tiny.zoo.skill import picture, scenes

SCENES = 400


def main() -> None:
    judge, figures = LocalJudge(model=str(WEIGHTS / "vlm")), {}
    for name, things in (("one thing", (1,)), ("one to three", (1, 2, 3))):
        draw, requests, truths = random.Random(0), [], []
        for scene in scenes(SCENES, start=700_000, things=things):
            question = questions.ask(scene, draw)
            asked = {
                "type": "choice",
                "instructions": render("quiz/question", wording="short", question=question.text),
                "criteria": dict.fromkeys(question.options(draw)),
            }
            requests.append(Request(picture(scene), {"asked": asked}))
            truths.append(question.answer)
        told = [one["asked"]["probabilities"] for one in judge.decide(requests, batch_size=32)]
        confidences, rights = calibration.taken(told, truths)
        figures[name] = {
            "accuracy": asdict(stats.mean([float(right) for right in rights])),
            "confidence": asdict(stats.mean(confidences)),
            "brier": asdict(calibration.brier(told, truths)),
            "expected_calibration_error": asdict(calibration.expected_calibration_error(confidences, rights)),
        }
    report("judge_calibration", {"scenes": SCENES, "bins": 15, **figures})


if __name__ == "__main__":
    main()
