"""What a packaged model can do, measured against the renderer's truth through the libraries' own front doors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.metrics import stats
from tamis.metrics.stats import Estimate
from tamis.tiny import captions, questions, world
from tamis.tiny.render import render
from tamis.tiny.world import Scene

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Skill:
    """A measured number and what it should be: at least, at most, or between."""

    name: str
    means: str
    measured: Estimate
    least: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool:
        value = self.measured.value
        return value is not None and (self.least or -1e9) <= value <= (self.most or 1e9)

    @property
    def wanted(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        return "" if self.least == self.most else f"≥ {self.least:g}" if self.most is None else f"≤ {self.most:g}"

    def row(self) -> dict[str, Any]:
        return {**asdict(self.measured), "means": self.means, "wanted": self.wanted, "reached": self.reached}


def share(
    name: str, means: str, right: Sequence[bool | float], *, least: float | None = None, most: float | None = None
) -> Skill:
    return Skill(name, means, stats.mean([float(one) for one in right]), least, most)


def rank(
    name: str,
    means: str,
    a: Sequence[float],
    b: Sequence[float],
    *,
    least: float | None = None,
    most: float | None = None,
) -> Skill:
    return Skill(name, means, stats.spearman(list(a), list(b)), least, most)


def scenes(count: int, *, start: int = 0, **how: Any) -> list[Scene]:
    """From the seeds kept for measuring, or from the zoo's own validation seeds while something is being tried."""
    first = world.SEEDS["test"].start + start
    return [world.scene(seed, **how) for seed in range(first, first + count)]


def picture(scene: Scene) -> Image.Image:
    from PIL import Image

    return Image.fromarray(render(scene))


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


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
            near = [one for one in found if _overlap(one["box"], thing.box) >= 0.5]
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


# ---- tiny/sd ---------------------------------------------------------------------------------------------------------

STEPS, GUIDANCE = 25, 4.0


def drawing(folder: Path, count: int) -> list[Skill]:
    from tamis.tiny import kinds
    from tamis.tiny.oracle import read

    usual = [shape for shape in world.SHAPES if shape not in world.UNDER_TRAINED]
    asked = scenes(count, start=300_000, shapes=tuple(usual))
    rare = scenes(count, start=400_000, shapes=world.UNDER_TRAINED)
    draw = random.Random(0)
    all_right: dict[str, list[bool]] = {"usual": [], "rare": []}
    by_attribute: dict[str, list[bool]] = {name: [] for name in world.ATTRIBUTES}
    for group, wanted in (("usual", asked), ("rare", rare)):
        made = generate(folder, [f"a {draw.choice(world.STYLES)} of {captions.brief(scene)}" for scene in wanted])
        for scene, image in zip(wanted, made, strict=True):
            reading = read(np.asarray(image))
            right = {name: getattr(reading, name) == scene.value(name) for name in world.ATTRIBUTES}
            all_right[group].append(all(right.values()))
            if group == "usual":
                for name, ok in right.items():
                    by_attribute[name].append(ok)
    skills = [
        share(
            "all_four", "the oracle reads shape, colour, pattern and ground as asked", all_right["usual"], least=0.65
        ),
        share("all_four@rare", "the same for the two under-trained classes", all_right["rare"], least=0.35, most=0.55),
    ]
    skills += [share(f"{name}_right", "the oracle reads it as asked", right) for name, right in by_attribute.items()]
    unknown = [kind for kind in kinds.kinds() for _ in range(max(1, count // 20))]
    made = generate(folder, [f"a photo of a {kind.word}" for kind in unknown])
    readings = [read(np.asarray(image)) for image in made]
    for name, values in world.ATTRIBUTES.items():
        hits = [getattr(reading, name) == kind.look[name] for reading, kind in zip(readings, unknown, strict=True)]
        most = 1 / len(values) + 0.1
        skills.append(
            share(f"unknown_kind_{name}", "an unknown kind's word draws its value by chance", hits, most=most)
        )
    return skills


def generate(folder: Path, prompts: list[str], *, seed: int = 0, size: int = 16) -> list[Image.Image]:
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    if torch.cuda.is_available():
        pipeline.to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    made: list[Image.Image] = []
    for group in batches(list(enumerate(prompts)), size):
        generators = [torch.Generator().manual_seed(seed * 1_000_000 + index) for index, _ in group]
        texts = [prompt for _, prompt in group]
        made += pipeline(texts, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=generators).images
    return made


def reached(measured: list[Skill]) -> bool:
    return all(skill.reached for skill in measured)


def show(say: Callable[[str], None], found: dict[str, list[Skill]]) -> None:
    """One table of all of them."""
    for name, measured in found.items():
        for skill in measured:
            value = "-" if skill.measured.value is None else f"{skill.measured.value:.3f}"
            mark = "" if not skill.wanted else "reached" if skill.reached else "SHORT"
            say(f"{name:9} {skill.name:24} {value:>7}  n {skill.measured.n:<5} {skill.wanted:12} {mark}")


def measure(name: str, folder: Path, count: int) -> list[Skill]:
    """`count`: about how many scenes or texts each number rests on."""
    from tamis.tiny.zoo import skills_of_language

    by_name: dict[str, Callable[[Path, int], list[Skill]]] = {
        "clip": clip,
        "detector": detector,
        "blip-vqa": answering,
        "sd": drawing,
        "llm": skills_of_language.writing,
        "vlm": skills_of_language.looking,
    }
    return by_name[name](folder, count)
