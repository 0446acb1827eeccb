"""How fast is CLIP scoring, against a bare loop, plain datasets.map and data-juicer, with one model, in one run?

    python benchmarks/clip_scoring.py --data_juicer_python PATH/TO/venv/bin/python

ViT-B/32 by shape, with random weights: timing does not need trained ones. The pictures are JPEGs of 640 x 480. Every
contender runs in turn, several times; ratios are taken turn by turn and their median is told. data-juicer runs in a
virtual environment of its own (pip install py-data-juicer "transformers<5"); without one it is left out, and said so.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report

SUBJECTS = ("dog", "tree", "house", "lake", "bicycle", "market", "mountain", "violin", "train", "garden")
PLACES = ("in the rain", "at night", "near a river", "on a table", "under a bridge", "beside an old wall")


def caption(draw: random.Random) -> str:
    return f"a photo of a {draw.choice(SUBJECTS)} and a {draw.choice(SUBJECTS)} {draw.choice(PLACES)}, seen from afar"


def pictures(folder: Path, rows: int) -> Any:
    """Photograph-like JPEGs: smooth noise at several scales. Unique captions: no contender profits from repeats."""
    from datasets import Dataset, Features, Image, Value
    from PIL import Image as Pictures

    draw, numbers = random.Random(0), np.random.default_rng(0)
    made: dict[str, list[Any]] = {"row_id": [], "image": [], "text": []}
    for index in range(rows):
        layers = [
            Pictures.fromarray(numbers.integers(0, 255, (480 // n, 640 // n, 3), dtype=np.uint8)).resize((640, 480))
            for n in (160, 40, 8)
        ]
        picture = Pictures.blend(Pictures.blend(layers[0], layers[1], 0.4), layers[2], 0.2)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88)
        made["row_id"].append(f"train-{index}")
        made["image"].append({"bytes": buffer.getvalue(), "path": None})
        made["text"].append(f"{caption(draw)}, number {index}")
    features = Features({"row_id": Value("string"), "image": Image(decode=False), "text": Value("string")})
    Dataset.from_dict(made, features=features).save_to_disk(str(folder))
    return Dataset.load_from_disk(str(folder))


def save_model(folder: Path, texts: list[str]) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    torch.manual_seed(0)
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
    )
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe.train_from_iterator(texts, trainer)
    bpe = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split()) for merge in bpe["merges"]]
    tokenizer = CLIPTokenizer(vocab=bpe["vocab"], merges=merges)
    config = CLIPConfig()  # its defaults are ViT-B/32
    config.text_config.bos_token_id = tokenizer.bos_token_id
    config.text_config.eos_token_id = tokenizer.eos_token_id
    config.text_config.pad_token_id = tokenizer.pad_token_id
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)


def bare_loop(dataset: Any, model: Path, batch_size: int) -> list[float]:
    """What one would write by hand: the library's processor and model over batches, nothing else."""
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    from tamis.images import decode_image

    clip = CLIPModel.from_pretrained(model).eval()
    processor, tokenizer = CLIPImageProcessorPil.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    scores: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(dataset), batch_size):
            batch = dataset[start : start + batch_size]
            images = [decode_image(image) for image in batch["image"]]
            inputs = tokenizer(batch["text"], padding=True, truncation=True, max_length=77, return_tensors="pt")
            out = clip(**inputs, pixel_values=processor(images, return_tensors="pt")["pixel_values"])
            scores += (out.image_embeds * out.text_embeds).sum(dim=-1).tolist()
    return scores


def plain_map(dataset: Any, model: Path) -> list[float]:
    """The usual code of a notebook: datasets decodes, one row a call, the whole table comes back."""
    import torch
    from datasets import Image
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    clip = CLIPModel.from_pretrained(model).eval()
    processor, tokenizer = CLIPImageProcessorPil.from_pretrained(model), AutoTokenizer.from_pretrained(model)

    def score(row: dict[str, Any]) -> dict[str, float]:
        inputs = tokenizer(row["text"], padding=True, truncation=True, max_length=77, return_tensors="pt")
        pixels = processor(row["image"].convert("RGB"), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            out = clip(**inputs, pixel_values=pixels)
        return {"similarity": float((out.image_embeds * out.text_embeds).sum())}

    return dataset.cast_column("image", Image()).map(score, load_from_cache_file=False)["similarity"][:]


def ours(dataset: Any, model: Path, batch_size: int, folder: Path) -> list[float]:
    from tamis import models
    from tamis.run import Run
    from tamis.scorers.clip import Clip
    from tamis.scoring import attach_scores

    run = Run(folder)
    scored = attach_scores(dataset, Clip(model=str(model)), run=run, batch_size=batch_size)
    run.close()
    models.release()
    return scored["clip_similarity"][:]


def data_juicer(python: Path, folder: Path, model: Path, turn: int) -> tuple[float, list[float]]:
    """The peer times itself, imports and start-up left out; every contender loads the model in its time."""
    from transformers import CLIPConfig

    program = Path(__file__).parent / "peers" / "data_juicer_clip.py"
    # A cache of its own each turn: it would find the last turn's scores.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / f"cache-{turn}")}
    out = subprocess.check_output(
        [python, program, folder / "rows.jsonl", model], text=True, stderr=subprocess.DEVNULL, env=environment
    )
    told = json.loads(out.strip().splitlines()[-1])
    # It divides logits by 100, whatever the model's scale: right for trained CLIP, undone here for a random one.
    scale = 100 / np.exp(CLIPConfig.from_pretrained(model).logit_scale_init_value)
    return told["seconds"], [score * scale for score in told["scores"]]


def floor(dataset: Any, model: Path) -> dict[str, float]:
    """What the hardware allows: work of one row, speed of a plain matrix product, time to decode one picture."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoTokenizer, CLIPModel

    from tamis.images import decode_image

    def median_seconds(call: Any, times: int = 10) -> float:
        seconds = []
        for _ in range(times):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds)

    batch = dataset[:32]
    texts = AutoTokenizer.from_pretrained(model)(batch["text"], padding=True, truncation=True, return_tensors="pt")
    clip, pixels = CLIPModel.from_pretrained(model).eval(), torch.zeros(len(batch["text"]), 3, 224, 224)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        clip(**texts, pixel_values=pixels)
    matrix = torch.randn(2048, 2048)
    work = counter.get_total_flops() / len(pixels) / 1e9
    speed = 2 * 2048**3 / median_seconds(lambda: matrix @ matrix) / 1e9
    decoding = median_seconds(lambda: [decode_image(image) for image in batch["image"]]) / len(pixels)
    return {
        "gflop_a_row": round(work, 1),
        "gflop_a_second_of_a_matrix_product": round(speed),
        "rows_a_second_at_that_speed": round(speed / work, 1),
        "milliseconds_to_decode_a_picture": round(decoding * 1e3, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--data_juicer_python", type=Path)
    parser.add_argument("--floor", action="store_true", help="only print what the hardware allows")
    given = parser.parse_args()
    import datasets

    datasets.disable_progress_bars()
    seconds: dict[str, list[float]] = {}
    scores: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset, model = pictures(folder / "set", given.rows), folder / "model"
        save_model(model, dataset["text"][:])
        if given.floor:
            print(json.dumps(floor(dataset, model), indent=2))
            return
        (folder / "jpegs").mkdir()
        with (folder / "rows.jsonl").open("w") as lines:
            for row in dataset:
                path = folder / "jpegs" / f"{row['row_id']}.jpg"
                path.write_bytes(row["image"]["bytes"])
                text = f"<__dj__image> {row['text']} <|__dj__eoc|>"
                lines.write(json.dumps({"text": text, "images": [str(path)]}) + "\n")
        contenders = {
            "ours": lambda turn: ours(dataset, model, given.batch_size, folder / f"run-{turn}"),
            "bare loop": lambda turn: bare_loop(dataset, model, given.batch_size),
            "datasets.map by row": lambda turn: plain_map(dataset, model),
        }
        few = dataset.select(range(given.batch_size))  # everyone's libraries are loaded and warm before the clock runs
        ours(few, model, given.batch_size, folder / "run-warm")
        bare_loop(few, model, given.batch_size)
        plain_map(few, model)
        for turn in range(given.runs):
            for contender, score in contenders.items():
                started = time.perf_counter()
                scores[contender] = score(turn)
                seconds.setdefault(contender, []).append(time.perf_counter() - started)
            if given.data_juicer_python:
                spent, scores["data-juicer"] = data_juicer(given.data_juicer_python, folder, model, turn)
                seconds.setdefault("data-juicer", []).append(spent)
            print({name: round(spent[-1], 1) for name, spent in seconds.items()}, file=sys.stderr, flush=True)

    def ratio(contender: str) -> dict[str, float] | str:
        if contender not in seconds:
            return "not run: no --data_juicer_python"
        each = [peer / own for peer, own in zip(seconds[contender], seconds["ours"], strict=True)]
        return {"median": round(statistics.median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}

    report(
        "clip_scoring",
        {
            "rows": given.rows,
            "runs": given.runs,
            "batch_size": given.batch_size,
            "model": "CLIP ViT-B/32 by shape, random weights, float32",
            "rows_per_second": {
                contender: round(given.rows / statistics.median(spent), 2) for contender, spent in seconds.items()
            },
            "times_as_fast_as": {
                contender: ratio(contender) for contender in ("bare loop", "datasets.map by row", "data-juicer")
            },
            "largest_difference_of_scores": {
                contender: float(np.max(np.abs(np.asarray(found) - np.asarray(scores["bare loop"]))))
                for contender, found in scores.items()
            },
        },
    )


if __name__ == "__main__":
    main()
