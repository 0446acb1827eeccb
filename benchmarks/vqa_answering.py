"""How fast does BLIP answer five questions a picture, against a call of its generate() for each question?

    python benchmarks/vqa_answering.py

A model of the shape of Salesforce/blip-vqa-base with random weights, pictures of 384 pixels, two threads. The peer is
the loop of the library's own example: processor, model.generate(), decode, one question a call. Ours is BlipAnswers, as
the scorer blip_vqa uses it: a picture is encoded once, and its keys and values in the question encoder's
cross-attention are made once for its questions. Answers are compared. Times are of the processor, both threads
together, so that other work on the machine hardly counts; the ratio on the clock stands beside.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from measuring import Spent, report
from PIL import Image
from transformers import BertTokenizer, BlipConfig, BlipForQuestionAnswering, BlipImageProcessor, BlipProcessor

from tamis.vqa.asked import Seen
from tamis.vqa.blip import BlipAnswers

QUESTIONS = (
    "what colour is the chair?",
    "what is the seat made of?",
    "how many legs does it have?",
    "which room would it stand in?",
    "what style of furniture is this?",
)
WORDS = sorted({word for question in QUESTIONS for word in question.replace("?", " ?").split()})
TOKENS = 5  # of an answer


def build(folder: Path) -> None:
    """blip-vqa-base as its config.json has it: ViT-B/16 at 384 pixels, two BERTs of twelve layers."""
    torch.manual_seed(0)
    vision = {"image_size": 384, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    text = {"vocab_size": 30524, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    text |= {"encoder_hidden_size": 768, "intermediate_size": 3072, "projection_dim": 768}
    model = BlipForQuestionAnswering(BlipConfig(vision_config=vision | {"intermediate_size": 3072}, text_config=text))
    model.save_pretrained(folder)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(names + [f"w{number}" for number in range(30524 - len(names))]))
    processor = BlipImageProcessor(size={"height": 384, "width": 384})
    BlipProcessor(processor, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)


def pictures(count: int) -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 255, (256, 256, 3), dtype=np.uint8)) for _ in range(count)]


def theirs(answers: BlipAnswers, processor: BlipProcessor, shown: list[Image.Image]) -> list[str]:
    told = []
    with torch.inference_mode():
        for image in shown:
            for question in QUESTIONS:
                inputs = processor(images=image, text=question, return_tensors="pt")
                inputs.pop("token_type_ids", None)
                written = answers.model.generate(**inputs, max_new_tokens=TOKENS)
                told.append(processor.decode(written[0], skip_special_tokens=True).strip())
    return told


def ours(answers: BlipAnswers, processor: BlipProcessor, shown: list[Image.Image], batch: int) -> list[str]:
    rows = [(str(number), image, question) for number, image in enumerate(shown) for question in QUESTIONS]
    told = []
    for first in range(0, len(rows), batch):
        some = rows[first : first + batch]
        # As the scorer does: the image processor runs for every row.
        pixels = [processor.image_processor(image, return_tensors="pt")["pixel_values"][0] for _, image, _ in some]
        seen = [(name, pixel) for (name, _, _), pixel in zip(some, pixels, strict=True)]
        [answered] = answers.answer(seen, [question for *_, question in some], answer_tokens=TOKENS)
        told += answered
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with TemporaryDirectory() as folder:
        build(Path(folder))
        answers = BlipAnswers(folder, "")
        processor = BlipProcessor.from_pretrained(folder)
    shown, ratios, walls, seconds, equal = pictures(given.pictures), [], [], [], []
    ours(answers, processor, shown[:1], given.batch)
    for _ in range(given.runs):
        answers.seen = Seen()
        began = Spent.now()
        own = ours(answers, processor, shown, given.batch)
        mine, began = Spent.since(began), Spent.now()
        peer = theirs(answers, processor, shown)
        other = Spent.since(began)
        ratios.append(other.processor / mine.processor)
        walls.append(other.wall / mine.wall)
        seconds.append((mine.wall, other.wall))
        equal.append(np.mean([a == b for a, b in zip(own, peer, strict=True)]))
        print(seconds[-1], ratios[-1], file=sys.stderr, flush=True)
    report(
        "vqa_answering",
        {
            "model": "blip-vqa-base's shape, random weights, float32",
            "questions": given.pictures * len(QUESTIONS),
            "runs": given.runs,
            "threads": given.threads,
            "questions_per_second": round(given.pictures * 5 / statistics.median(own for own, _ in seconds), 3),
            "questions_per_second_of_a_call_each": round(
                given.pictures * 5 / statistics.median(peer for _, peer in seconds), 3
            ),
            "times_as_fast_by_processor_time": {
                "median": round(statistics.median(ratios), 2),
                "low": round(min(ratios), 2),
                "high": round(max(ratios), 2),
            },
            "times_as_fast_on_the_clock": round(statistics.median(walls), 2),
            "share_of_equal_answers": float(np.mean(equal)),
        },
    )


if __name__ == "__main__":
    main()
