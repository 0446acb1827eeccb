"""A detector finds what is drawn, is unsure of what is not, and says where: the numbers are the library's own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pictures

from tamis.scorers.detection import Detection
from tamis.scoring import attach_scores
from tamis.tiny.render import extent, render
from tamis.tiny.world import SEEDS, SHAPES, SIDE, scene

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Detection(model="tiny/detector", query="a {}")


def rows(images: list[Any], classes: list[str | None], encoded: Any) -> Dataset:
    cells = [{"bytes": encoded(one) if isinstance(one, Pictures.Image) else one, "path": None} for one in images]
    features = Features({"image": Image(decode=False), "class": Value("string")})
    return Dataset.from_dict({"image": cells, "class": classes}, features=features)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Pictures.Image, str, list[float]]]:
    """Scenes of one thing: the picture, its shape, its box in shares."""
    scenes = [scene(seed) for seed in list(SEEDS["test"])[:24]]
    boxes = [[side / SIDE for side in extent(one.things[0])] for one in scenes]
    return [(Pictures.fromarray(render(one)), one.things[0].shape, box) for one, box in zip(scenes, boxes, strict=True)]


def test_what_is_drawn_is_found_where_it_is(run, drawn: Any, encoded: Any) -> None:
    draw = random.Random(0)
    absent = [draw.choice([shape for shape in SHAPES if shape != there]) for _, there, _ in drawn]
    images = [image for image, *_ in drawn]
    there = attach_scores(rows(images, [shape for _, shape, _ in drawn], encoded), TINY, run=run)
    elsewhere = attach_scores(rows(images, absent, encoded), TINY, run=run, batch_size=5)
    assert np.mean(there["detection_found"]) > 0.9 and np.mean(elsewhere["detection_found"]) < 0.2
    middles = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in there["detection_box"]]
    wanted = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for *_, box in drawn]
    assert np.median(np.abs(np.subtract(middles, wanted))) < 0.05


def test_a_wide_picture_has_its_box_inside(run, drawn: Any, encoded: Any) -> None:
    image, shape, _ = drawn[0]
    wide = Pictures.new("RGB", (192, 64), image.getpixel((0, 0)))
    wide.paste(image, (128, 0))
    [row] = attach_scores(rows([wide], [shape], encoded), TINY, run=run)
    left, top, right, bottom = row["detection_box"]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1 and (left + right) / 2 > 0.5


def test_rows_that_cannot_be_looked_at_say_why(run, drawn: Any, encoded: Any) -> None:
    image, shape, _ = drawn[0]
    made = rows([image, b"no picture", image, image], [shape, shape, " ", "star " * 30], encoded)
    scored = attach_scores(made, TINY, run=run)
    assert [value is None for value in scored["detection_confidence"]] == [False, True, True, True]
    said = scored["detection_error"]
    assert said[0] is None and said[1].startswith("image: ") and said[2] == "text: empty"
    assert said[3] == "class: 33 tokens with its question, the detector reads 32"


def owlv2(folder: Path) -> None:
    from transformers import AutoTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil, Owlv2Processor

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = AutoTokenizer.from_pretrained("tiny/detector")
    config = Owlv2Config(
        text_config=sizes | {"vocab_size": len(tokenizer)},
        vision_config=sizes | {"image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    Owlv2Processor(Owlv2ImageProcessorPil(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)


def grounding_dino(folder: Path) -> None:
    from transformers import (
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
    )

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", "a", "photo", "of", *SHAPES]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin", "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": 2,
            "out_indices": [2, 3, 4], "image_size": 64,
        },
        text_config={
            "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": len(words),
        },
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=5, num_feature_levels=4, max_text_len=32,
    )  # fmt: skip
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    GroundingDinoProcessor(processor, tokenizer).save_pretrained(folder)


@pytest.mark.parametrize(("made", "text"), [(owlv2, ["a photo of a {}"]), (grounding_dino, "a photo of a {}.")])
def test_other_families_say_what_the_library_says(made: Any, text: Any, run, drawn, encoded, tmp_path: Path) -> None:
    """Picture by picture, each with its question as the model's page asks it."""
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    torch.manual_seed(0)
    made(tmp_path)
    images, classes = [image.resize((96, 64)) for image, *_ in drawn[:3]], ["star", "circle", "star"]
    scorer = Detection(model=str(tmp_path), query="a photo of a {}", threshold=0.0)
    scored = attach_scores(rows(images, classes, encoded), scorer, run=run)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(tmp_path).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    for image, shape, row in zip(images, classes, scored, strict=True):
        asked = text.format(shape) if isinstance(text, str) else [one.format(shape) for one in text]
        padded = {} if isinstance(text, str) else {"padding": "max_length", "max_length": 16}
        inputs = processor(text=asked, images=image, return_tensors="pt", **padded)
        with torch.inference_mode():
            outputs = model(**inputs)
        more = {"input_ids": inputs["input_ids"]} if isinstance(text, str) else {}
        [found] = processor.post_process_grounded_object_detection(
            outputs, threshold=0.0, target_sizes=[(64, 96)], **more
        )
        best = int(found["scores"].argmax())
        assert row["detection_confidence"] == pytest.approx(float(found["scores"][best]), abs=1e-5)
        shares = [min(max(x / side, 0), 1) for x, side in zip(found["boxes"][best].tolist(), (96, 64) * 2, strict=True)]
        assert row["detection_box"] == pytest.approx(shares, abs=1e-4)


def test_other_models_and_settings_are_refused_by_name(run, drawn: Any, encoded: Any) -> None:
    with pytest.raises(ValueError, match="'tiny/clip' is a clip model; expected one of owlvit, owlv2"):
        attach_scores(rows([drawn[0][0]], ["star"], encoded), Detection(model="tiny/clip"), run=run)
    for wrong in ("a star", "{} or {}", "{name} {}"):
        with pytest.raises(ValueError, match="expected a text with one {} in it"):
            Detection(query=wrong)
    with pytest.raises(ValueError, match="threshold: 50 is not accepted"):
        Detection(threshold=50)
