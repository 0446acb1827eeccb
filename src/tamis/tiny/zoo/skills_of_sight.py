"""What tiny/clip, tiny/detector and tiny/blip-vqa can do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.tiny import captions, questions, world
from tamis.tiny.render import extent
from tamis.tiny.zoo.skill import Skill, batches, picture, scenes, share

if TYPE_CHECKING:
    from PIL import Image

# ---- tiny/clip -------------------------------------------------------------------------------------------------------


def clip(folder: Path, count: int) -> list[Skill]:
    import torch
    from transformers import AutoModel, AutoProcessor

    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    right: list[bool] = []
    for group in batches(scenes(max(64, count // 64 * 64)), 64):
        texts = [captions.caption(scene) for scene in group]
        inputs = processor(text=texts, images=[picture(scene) for scene in group], padding=True, return_tensors="pt")
        with torch.inference_mode():
            picked = model(**inputs).logits_per_image.argmax(dim=1).tolist()
        right += [texts[choice] == text for choice, text in zip(picked, texts, strict=True)]
    return [share("caption_of_64", "the right caption out of those of 64 scenes is the most similar", right, least=0.9)]


# ---- tiny/detector ---------------------------------------------------------------------------------------------------


def detector(folder: Path, count: int) -> list[Skill]:
    right, things = [], []
    for scene in scenes(count, start=100_000, things=(1, 2, 3)):
        found = detect(folder, picture(scene), [f"a {shape}" for shape in world.SHAPES])
        for thing in scene.things:
            # Its best box: of those that lie on it the surest one must name it.
            near = [one for one in found if _overlap(one["box"], extent(thing)) >= 0.5]
            best = max(near, key=lambda one: one["score"], default=None)
            right.append(best is not None and best["label"] == f"a {thing.shape}")
            things.append(len(scene.things))
    single = [ok for ok, number in zip(right, things, strict=True) if number == 1]
    return [
        share("detected", "a thing's surest box overlaps it by half and has its class", right, least=0.85),
        share("detected_single", "the same where there is one thing", single),
    ]


def detect(folder: Path, image: Image.Image, queries: list[str], threshold: float = 0.05) -> list[dict[str, Any]]:
    import torch

    model, processor = _detector(folder)
    inputs = processor(text=[queries], images=image, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    found = processor.post_process_grounded_object_detection(
        outputs, threshold=threshold, target_sizes=[(image.height, image.width)]
    )[0]
    return [
        {"box": box.tolist(), "score": score.item(), "label": queries[label]}
        for box, score, label in zip(found["boxes"], found["scores"], found["labels"], strict=True)
    ]


_loaded: dict[Path, tuple[Any, Any]] = {}


def _detector(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoProcessor, OwlViTForObjectDetection

    if folder not in _loaded:
        _loaded.clear()
        model = OwlViTForObjectDetection.from_pretrained(folder).eval()
        _loaded[folder] = (model, AutoProcessor.from_pretrained(folder))
    return _loaded[folder]


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


# ---- tiny/blip-vqa ---------------------------------------------------------------------------------------------------


def answering(folder: Path, count: int) -> list[Skill]:
    import torch
    from transformers import AutoProcessor, BlipForQuestionAnswering

    model = BlipForQuestionAnswering.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    draw = random.Random(0)
    asked = [(scene, questions.ask(scene, draw)) for scene in scenes(count, start=200_000, things=(1, 1, 2, 3))]
    right: list[bool] = []
    for group in batches(asked, 64):
        inputs = processor(
            images=[picture(scene) for scene, _ in group],
            text=[question.text for _, question in group],
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            replies = processor.batch_decode(model.generate(**inputs, max_new_tokens=6), skip_special_tokens=True)
        right += [reply.strip() == question.answer for reply, (_, question) in zip(replies, group, strict=True)]
    skills = [share("answers", "the single-word answer is right", right, least=0.9)]
    for difficulty in sorted({question.difficulty for _, question in asked}):
        own = [ok for ok, (_, question) in zip(right, asked, strict=True) if question.difficulty == difficulty]
        skills.append(share(f"answers@level={difficulty}", "the same at this difficulty", own))
    return skills
