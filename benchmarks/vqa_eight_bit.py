"""What does BLIP in 8 bits take, how fast does it answer, and how near does it stay to itself?

    python benchmarks/vqa_eight_bit.py

A model of the shape of Salesforce/blip-vqa-base with random weights (vqa_answering.py), as the scorer blip_vqa loads it
with `quantization: 8bit`: bitsandbytes' Linear8bitLt for every linear layer but the output layer, whose weight is that
of the embeddings. The peer is the same model in float32, asked the same questions on the same pictures in the same
batches. Bytes are those of weights and buffers. Logits are the decoder's for the first word of each answer. What
random weights answer hardly depends on the question: how many of their answers differ stands beside.
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
from transformers import BlipProcessor
from vqa_answering import QUESTIONS, build, ours, pictures

from tamis.vqa.asked import Seen
from tamis.vqa.blip import BlipAnswers
from tamis.vqa.eight_bit import footprint


def first_logits(answers: BlipAnswers, processor: BlipProcessor, shown: list) -> torch.Tensor:
    model, told = answers.model, []
    begun = torch.tensor([[model.decoder_start_token_id]])
    with torch.inference_mode():
        for image in shown:
            seen = model.vision_model(processor.image_processor(image, return_tensors="pt").pixel_values)[0]
            for question in QUESTIONS:
                ids = processor.tokenizer(question, return_tensors="pt").input_ids
                read = model.text_encoder(ids, encoder_hidden_states=seen).last_hidden_state
                told.append(model.text_decoder(begun, encoder_hidden_states=read).logits[0, 0].float())
    return torch.stack(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with TemporaryDirectory() as folder:
        build(Path(folder))
        models = {"float32": BlipAnswers(folder, ""), "8bit": BlipAnswers(folder, "", quantization="8bit")}
        processor = BlipProcessor.from_pretrained(folder)
    shown, spent, told = pictures(given.pictures), {name: [] for name in models}, {}
    for answers in models.values():
        ours(answers, processor, shown[:1], given.batch)
    for _ in range(given.runs):
        for name, answers in models.items():
            answers.seen = Seen()
            began = Spent.now()
            told[name] = ours(answers, processor, shown, given.batch)
            spent[name].append(Spent.since(began))
        print({name: times[-1] for name, times in spent.items()}, file=sys.stderr, flush=True)
    logits = {name: first_logits(answers, processor, shown) for name, answers in models.items()}
    cosines = torch.nn.functional.cosine_similarity(logits["8bit"], logits["float32"])
    size = footprint(models["8bit"].model)
    ratios = [one.processor / eight.processor for one, eight in zip(spent["float32"], spent["8bit"], strict=True)]
    report(
        "vqa_eight_bit",
        {
            "model": "blip-vqa-base's shape, random weights",
            "bytes": {name: size[name] for name in size if name != "kept"},
            "not_quantised": size["kept"],
            "quantised_linear_weights_of_float16": round(size["linear"] / size["linear_float16"], 4),
            "whole_model_of_float16": round(size["total"] / size["total_float16"], 4),
            "whole_model_of_float32": round(size["total"] / size["total_float32"], 4),
            "questions": len(told["8bit"]),
            "runs": given.runs,
            "threads": given.threads,
            "questions_per_second": {
                name: round(len(told[name]) / statistics.median(one.wall for one in times), 3)
                for name, times in spent.items()
            },
            "times_as_fast_by_processor_time": {
                "median": round(statistics.median(ratios), 2),
                "low": round(min(ratios), 2),
                "high": round(max(ratios), 2),
            },
            "share_of_equal_answers": float(np.mean([a == b for a, b in zip(*told.values(), strict=True)])),
            "different_answers": len(set(told["float32"])),
            "cosine_of_logits": {"mean": round(cosines.mean().item(), 5), "low": round(cosines.min().item(), 5)},
        },
    )


if __name__ == "__main__":
    main()
