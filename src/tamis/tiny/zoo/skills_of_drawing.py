"""What tiny/sd can do, as the oracle reads its pictures."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tamis.tiny import captions, kinds, world
from tamis.tiny.oracle import read
from tamis.tiny.zoo.skill import Skill, batches, scenes, share

if TYPE_CHECKING:
    from PIL import Image

STEPS, GUIDANCE = 25, 4.0


def drawing(folder: Path, count: int) -> list[Skill]:
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
