"""How fast does the judge take a quiz? Ten questions a picture at the shape of SmolVLM-256M, against three ways to ask.

    python benchmarks/judge_speed.py                  # two cores, float32
    python benchmarks/judge_speed.py --shape 4b       # a GPU: bf16, with the share of its measured matrix rate

Random weights: speed does not depend on them, and all contenders must agree on every probability. The class is that of
Gemma3, whose processor needs no torchvision, with SmolVLM-256M's numbers: a vision tower of 12 layers, 768 wide, 512
pixels in patches of 16, 64 tokens of it to a picture (image splitting off); a language model of 30 layers, 576 wide.

- one generate: `generate`, one token, a question at a time, as most code on the Hub asks.
- pipeline("decision"): the library's own, a question at a time.
- batched prompts: the ten prompts in one batch, each with its picture.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import report
from PIL import Image

from tamis import prompts
from tamis.judge import LocalJudge, Request
from tamis.judge.asking import as_library
from tamis.judge.prompts import padded, prompts_of, together, visible

QUESTIONS = 10
NAMES = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<start_of_image>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPES = {
    "256m": (
        {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9},
        {"num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49280},
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        {"image_size": 512, "patch_size": 16},
        64,
    ),
    "4b": (
        {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "num_attention_heads": 8},
        {"num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208},
        {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16},
        {"image_size": 896, "patch_size": 14},
        256,
    ),
}


def build(folder: Path, shape: str) -> str:
    """A model of this shape with random weights, and a tokenizer trained on this project's own prompts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessorPil,
        Gemma3Processor,
        PreTrainedTokenizerFast,
    )

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<pad>", "<|im_start|>", "<|im_end|>", *NAMES.values()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = [prompts.source(name) for name in prompts.names()]
    trainer = trainers.BpeTrainer(vocab_size=8000, special_tokens=special, initial_alphabet=alphabet)
    made.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        chat_template=TEMPLATE,
        extra_special_tokens=NAMES,
    )
    text, heads, vision, image, tokens = SHAPES[shape]
    ids = {f"{name.split('_')[0]}_token_index": tokenizer.convert_tokens_to_ids(token) for name, token in NAMES.items()}
    config = Gemma3Config(
        text_config=text
        | heads
        | {"pad_token_id": 0, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
        | {"layer_types": ["full_attention"] * text["num_hidden_layers"], "max_position_embeddings": 8192},
        vision_config=vision | image,
        mm_tokens_per_image=tokens,
        **ids,
    )
    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(config).to(torch.bfloat16 if torch.cuda.is_available() else torch.float32)
    model.save_pretrained(folder)
    side = image["image_size"]
    images = Gemma3ImageProcessorPil(size={"height": side, "width": side})
    processor = Gemma3Processor(images, tokenizer, chat_template=TEMPLATE, image_seq_length=tokens)
    processor.save_pretrained(folder)
    return str(folder)


def requests(count: int, side: int) -> list[Request]:
    """Pictures, each with the same ten questions, as a topic's candidates have."""
    numbers, asked = np.random.default_rng(0), {}
    parts = ("throat", "crown", "breast", "back", "tail", "wing bars", "eye ring", "legs", "bill", "belly")
    for part in parts[:QUESTIONS]:
        question = f"What colour is the {part} of the bird in the picture?"
        options = ["orange", "white", "black", "bright yellow", "it cannot be told from the picture"]
        asked[part] = {
            "type": "choice",
            "instructions": prompts.render("quiz/question", question=question),
            "criteria": dict.fromkeys(options),
        }
    pictures = [Image.fromarray(numbers.integers(0, 255, (side, side, 3), dtype=np.uint8)) for _ in range(count)]
    return [Request(picture, asked) for picture in pictures]


class Contenders:
    def __init__(self, folder: str, batch_size: int) -> None:
        from transformers import DecisionPipeline

        self.judge = LocalJudge(model=folder, order_seed=None, max_pixels=10**7)
        self.loaded = self.judge._loaded()
        self.batch_size = batch_size
        self.pipeline = DecisionPipeline(
            model=self.loaded.model,
            tokenizer=self.loaded.tokenizer,
            processor=self.loaded.processor,
            decision_config=self.loaded.config,
        )

    def ours(self, asked: list[Request]) -> list[float]:
        answers = self.judge.decide(asked, batch_size=self.batch_size)
        return [p for one in answers for answer in one.values() for p in answer["probabilities"].values()]

    def by_pipeline(self, asked: list[Request]) -> list[float]:
        answers = [self.pipeline(as_library(one, 10**7)) for one in asked]
        return [p for one in answers for answer in one.values() for p in answer["probabilities"].values()]

    def one_generate(self, asked: list[Request]) -> list[float]:
        found = []
        for one in asked:
            for prompt in prompts_of(as_library(one, 10**7), self.loaded):
                inputs = {name: value.to(self.loaded.device) for name, value in prompt.inputs().items()}
                length = prompt.ids.shape[1]
                made = self.loaded.model.generate(
                    input_ids=prompt.ids.to(self.loaded.device),
                    attention_mask=visible([length]).to(self.loaded.device),
                    **{name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")},
                    max_new_tokens=1,
                    do_sample=False,
                    return_dict_in_generate=True,
                    output_logits=True,
                )
                found += self._of_labels(prompt, made.logits[0])
        return found

    @torch.inference_mode()
    def batched(self, asked: list[Request]) -> list[float]:
        found = []
        for one in asked:
            batch = prompts_of(as_library(one, 10**7), self.loaded)
            ends = [int(prompt.marks[0]) for prompt in batch]
            seen = together([prompt.seen for prompt in batch], torch.cat)
            beside = together(
                [{k: v[:, :e] for k, v in p.beside.items()} for p, e in zip(batch, ends, strict=True)], padded
            )
            logits = self.loaded.model(
                input_ids=padded([p.ids[:, :e] for p, e in zip(batch, ends, strict=True)]).to(self.loaded.device),
                attention_mask=visible(ends).to(self.loaded.device),
                **{name: value.to(self.loaded.device) for name, value in (seen | beside).items()},
                use_cache=False,
                logits_to_keep=(torch.tensor(ends) - 1).unique().to(self.loaded.device),
            ).logits
            kept = (torch.tensor(ends) - 1).unique()
            for row, (prompt, end) in enumerate(zip(batch, ends, strict=True)):
                found += self._of_labels(prompt, logits[row, int((kept == end - 1).nonzero())][None])
        return found

    def _of_labels(self, prompt: Any, logits: torch.Tensor) -> list[float]:
        ids = self.loaded.label_ids(tuple(prompt.questions[0].labels))
        return logits[0, ids].float().softmax(-1).tolist()


def seconds(work: Callable[[], Any]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matrix_rate() -> float:
    """FLOP a second of a plain matrix product in the dtype that is used."""
    device, kind = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    side = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    a @ b
    return 2 * side**3 / min(seconds(lambda: a @ b) for _ in range(5))


def flops(contenders: Contenders, one: Request) -> float:
    """Of one request asked our way: the picture and the shared prompt once, each question's own tokens."""
    from tamis.judge.prompts import shared_length

    batch = prompts_of(as_library(one, 10**7), contenders.loaded)
    common, reason = shared_length(batch, contenders.loaded)
    assert reason is None, reason
    model = contenders.loaded.model
    text = sum(p.numel() for p in model.model.language_model.layers.parameters())
    vision = sum(p.numel() for p in model.model.vision_tower.parameters())
    side = model.config.vision_config.image_size // model.config.vision_config.patch_size
    own = sum(int(prompt.marks[0]) - common for prompt in batch)
    return 2 * vision * side**2 + 2 * text * (common + own)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=sorted(SHAPES), default="256m")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        contenders = Contenders(build(Path(folder), arguments.shape), arguments.pictures)
        asked = requests(arguments.pictures, SHAPES[arguments.shape][3]["image_size"])
        ways = {
            "one generate": contenders.one_generate,
            'pipeline("decision")': contenders.by_pipeline,
            "batched prompts": contenders.batched,
        }
        wanted = np.asarray(contenders.ours(asked[:1]))
        apart = {name: float(np.abs(np.asarray(way(asked[:1])) - wanted).max()) for name, way in ways.items()}
        ratios: dict[str, list[float]] = {name: [] for name in ways}
        ours = []
        for _ in range(arguments.runs):
            ours.append(seconds(lambda: contenders.ours(asked)) / len(asked))
            for name, way in ways.items():
                ratios[name].append(seconds(lambda way=way: way(asked[:1])) / ours[-1])
        rate = matrix_rate()
        report(
            f"judge_speed_{arguments.shape}" + ("_gpu" if torch.cuda.is_available() else ""),
            {
                "pictures": len(asked),
                "questions": QUESTIONS,
                "seconds_a_picture": round(float(np.median(ours)), 4),
                "answers_a_second": round(QUESTIONS / float(np.median(ours)), 2),
                "times_as_fast_as": {
                    name: {"median": round(float(np.median(r)), 2), "low": round(min(r), 2), "high": round(max(r), 2)}
                    for name, r in ratios.items()
                },
                "largest_difference_of_a_probability": apart,
                "gflop_a_picture": round(flops(contenders, asked[0]) / 1e9, 1),
                "share_of_the_matrix_rate": round(flops(contenders, asked[0]) / float(np.median(ours)) / rate, 3),
                "matrix_rate_gflop_s": round(rate / 1e9, 1),
                "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            },
        )


if __name__ == "__main__":
    main()
