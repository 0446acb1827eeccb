"""One picture a model to look at: what it was shown or asked, and what it made of it. Right in green, wrong in red."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.prompts import render as ask
from tamis.tiny import captions, questions, world
from tamis.tiny.zoo.exercises import DEFECTS_MOSTLY_NONE, Draw, quiz
from tamis.tiny.zoo.skill import picture, scenes
from tamis.tiny.zoo.skills_of_drawing import generate
from tamis.tiny.zoo.skills_of_looking import describer
from tamis.tiny.zoo.skills_of_sight import detect
from tamis.tiny.zoo.skills_of_writing import writer

if TYPE_CHECKING:
    from PIL import Image

TILE, LINES, COLUMNS = 128, 5, 6
GOOD, BAD, NEUTRAL = (20, 110, 40), (170, 20, 20), (40, 40, 40)
Note = tuple[str, tuple[int, int, int]]


def sheet(name: str, folder: Path) -> bytes:
    """A JPEG of at most 300 kB."""
    by_name: dict[str, Callable[[Path], bytes]] = {
        "clip": _clip,
        "detector": _detector,
        "blip-vqa": _answers,
        "sd": _drawn,
        "vlm": _described,
        "llm": _quizzes,
    }
    return by_name[name](folder)


def _clip(folder: Path) -> bytes:
    """The most similar of all the sheet's captions under each picture."""
    import torch
    from transformers import AutoModel, AutoProcessor

    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    shown = scenes(24, start=900_000, things=(1, 1, 2), defects=DEFECTS_MOSTLY_NONE)
    texts = [captions.caption(scene) for scene in shown]
    pictures = [picture(scene) for scene in shown]
    inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    with torch.inference_mode():
        similarity = model(**inputs).logits_per_image / model.logit_scale.exp()
    notes = []
    for row, scores in enumerate(similarity):
        best = int(scores.argmax())
        notes.append([(f"{scores[best]:.2f} {texts[best]}", GOOD if texts[best] == texts[row] else BAD)])
    return _tiles(pictures, notes)


def _detector(folder: Path) -> bytes:
    """The surest box of each shape that is found at all."""
    from PIL import ImageDraw

    pictures, notes = [], []
    for scene in scenes(24, start=910_000, things=(1, 2, 3), defects=DEFECTS_MOSTLY_NONE):
        image = picture(scene)
        found = detect(folder, image, [f"a {shape}" for shape in world.SHAPES], threshold=0.3)
        image = image.resize((TILE, TILE))
        brush = ImageDraw.Draw(image)
        true = {thing.shape for thing in scene.things}
        said: list[Note] = []
        best = {one["label"]: one for one in sorted(found, key=lambda one: one["score"])}
        for one in sorted(best.values(), key=lambda one: -one["score"])[:4]:
            shape = one["label"].removeprefix("a ")
            colour = GOOD if shape in true else BAD
            brush.rectangle([part * TILE / world.SIDE for part in one["box"]], outline=colour, width=2)
            said.append((f"{one['score']:.2f} {shape}", colour))
        pictures.append(image)
        notes.append(said)
    return _tiles(pictures, notes)


def _answers(folder: Path) -> bytes:
    import torch
    from transformers import AutoProcessor, BlipForQuestionAnswering

    model = BlipForQuestionAnswering.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    draw = random.Random(0)
    shown = scenes(24, start=920_000, things=(1, 2, 3), defects=DEFECTS_MOSTLY_NONE)
    pictures, notes = [picture(scene) for scene in shown], []
    for scene, image in zip(shown, pictures, strict=True):
        asked = [questions.ask(scene, draw) for _ in range(2)]
        texts = [one.text for one in asked]
        inputs = processor(images=[image, image], text=texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            replies = processor.batch_decode(model.generate(**inputs, max_new_tokens=6), skip_special_tokens=True)
        said: list[Note] = []
        for one, reply in zip(asked, replies, strict=True):
            said += [(one.text, NEUTRAL), (reply, GOOD if reply == one.answer else BAD)]
        notes.append(said)
    return _tiles(pictures, notes, lines=6)


def _drawn(folder: Path) -> bytes:
    """Asked of each class in turn; red where the oracle reads another attribute, grey where it is unsure."""
    import numpy as np

    from tamis.tiny.oracle import read

    wanted = [world.scene(seed, shape=shape) for seed, shape in enumerate(world.SHAPES * 4, world.SEEDS["test"].start)]
    prompts = [f"a {scene.style} of {captions.brief(scene)}" for scene in wanted]
    pictures, notes = generate(folder, prompts), []
    for scene, image, prompt in zip(wanted, pictures, prompts, strict=True):
        reading = read(np.asarray(image))
        wrong = {
            name: getattr(reading, name) for name in world.ATTRIBUTES if getattr(reading, name) != scene.value(name)
        }
        said = ", ".join(f"{name}: {value or 'unsure'}" for name, value in wrong.items())
        notes.append([(prompt, NEUTRAL), (said or "as asked", BAD if wrong else GOOD)])
    return _tiles(pictures, notes, columns=8)


def _described(folder: Path) -> bytes:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, processor = AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    write = describer(model, processor)
    shown = scenes(18, start=930_000, defects=DEFECTS_MOSTLY_NONE)
    told = write(shown, ask("self_reward/caption", wording="short"))
    critiques = write(shown, ask("score_and_explain/explain", wording="short", lowest=1, highest=10))
    notes = [
        [(text, GOOD if text == captions.caption(scene) else BAD), (critique.replace("#", ""), NEUTRAL)]
        for scene, text, critique in zip(shown, told, critiques, strict=True)
    ]
    return _tiles([picture(scene) for scene in shown], notes, lines=9)


def _quizzes(folder: Path) -> bytes:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write = writer(AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder))
    draw = Draw("sheet", world.SEEDS["test"])
    asked = [quiz(draw) for _ in range(4)]
    notes = [
        [(one.prompt, NEUTRAL), (reply, NEUTRAL)]
        for one, reply in zip(asked, write([one.prompt for one in asked]), strict=True)
    ]
    return _tiles([None] * len(notes), notes, columns=2, lines=24, width=520)


def _tiles(
    pictures: Sequence[Image.Image | None],
    notes: Sequence[Sequence[Note]],
    *,
    columns: int = COLUMNS,
    lines: int = LINES,
    width: int = TILE + 20,
) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(11)
    height = (TILE if pictures[0] is not None else 0) + 14 * lines + 12
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width + 8, rows * height + 8), "white")
    brush = ImageDraw.Draw(whole)
    for index, (image, said) in enumerate(zip(pictures, notes, strict=True)):
        x, y = 8 + index % columns * width, 8 + index // columns * height
        if image is not None:
            whole.paste(image.resize((TILE, TILE), Image.Resampling.NEAREST), (x, y))
            y += TILE + 2
        room = lines
        for text, colour in said:
            for line in _wrapped(text, font, width - 14)[:room]:
                brush.text((x, y), line, fill=colour, font=font)
                y += 14
                room -= 1
    for quality in (88, 75, 60, 40):
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=quality)
        if file.tell() <= 300_000:
            break
    return file.getvalue()


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines.append("")
        for word in paragraph.split():
            longer = f"{lines[-1]} {word}".strip()
            if font.getlength(longer) > width and lines[-1]:
                lines.append(word)
            else:
                lines[-1] = longer
    return lines
