"""Kinds of picture: drawn ones told from photographs, on pictures whose kind is known, and where that ends."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data

from tamis.scorers.picture_kind import PictureKind
from tamis.scoring import attach_scores
from tamis.tiny.render import render
from tamis.tiny.world import scene


def kind(image: Image.Image) -> dict[str, str]:
    return PictureKind().prepare({"image": image})


def jpeg(image: Image.Image, quality: int = 75) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def page(width: int = 850, height: int = 1100) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=18)
    for top in range(40, height - 40, 26):
        draw.text((50, top), "The quick brown fox jumps over the lazy dog. 0123456789", fill="black", font=font)
    return image


def bars() -> Image.Image:
    image = Image.new("RGB", (600, 400), "white")
    draw = ImageDraw.Draw(image)
    for place, height in enumerate([120, 300, 210, 80, 260]):
        left = 40 + 110 * place
        draw.rectangle([left, 380 - height, left + 70, 380], fill=["#4a6fa5", "#b4452f"][place % 2], outline="black")
        draw.text((left, 360 - height), f"bar {height}", fill="black")
    return image


def triangle() -> Image.Image:
    image = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(image).polygon([(30, 180), (270, 170), (150, 20)], outline="black")
    return image


def gradient(width: int) -> Image.Image:
    levels = np.linspace(0, 255, width)[None].repeat(width * 3 // 4, 0)
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))


DRAWN = {"page": page(), "bars": bars(), "triangle": triangle(), "one colour": Image.new("RGB", (64, 64), "#b4452f")}
PHOTOGRAPHS = {
    name: Image.fromarray(getattr(data, name)()).convert("RGB")
    for name in ("astronaut", "chelsea", "coffee", "camera", "rocket", "coins", "grass", "gravel", "brick")
}
SMOOTH = {"noise": noise()} | {f"gradient {width}": gradient(width) for width in (64, 300, 1000)}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_pictures_are_flat(name: str) -> None:
    picture = DRAWN[name]
    assert kind(picture)["look"] == "flat"
    assert kind(jpeg(picture))["look"] == "flat"
    assert kind(picture.resize((picture.width * 3, picture.height * 3), Image.Resampling.NEAREST))["look"] == "flat"


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, *SMOOTH])
def test_photographs_gradients_and_noise_are_continuous(name: str) -> None:
    picture = (PHOTOGRAPHS | SMOOTH)[name]
    assert kind(picture)["look"] == "continuous"
    assert kind(jpeg(picture))["look"] == "continuous"
    assert kind(picture.resize((picture.width // 2, picture.height // 2)))["look"] == "continuous"


def test_blur_and_grain_hide_that_a_picture_was_drawn() -> None:
    """As the docstring warns."""
    assert kind(bars().filter(ImageFilter.GaussianBlur(6)))["look"] == "continuous"
    grain = np.asarray(bars(), dtype=float) + np.random.default_rng(0).normal(0, 10, (400, 600, 3))
    assert kind(Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)))["look"] == "continuous"


@pytest.mark.parametrize(
    ("size", "shape"),
    [((120, 100), "wide"), ((119, 100), "square"), ((100, 100), "square"), ((100, 120), "tall"), ((1, 1), "square")]
    + [((64, 2), "wide"), ((2, 64), "tall")],
)
def test_shapes(size: tuple[int, int], shape: str) -> None:
    assert kind(Image.new("RGB", size))["shape"] == shape


def test_colour_is_a_hundredth_of_the_pixels() -> None:
    assert kind(PHOTOGRAPHS["astronaut"])["colour"] == "colour"
    grey = PHOTOGRAPHS["astronaut"].convert("L").convert("RGB")
    assert kind(grey)["colour"] == kind(jpeg(grey))["colour"] == kind(page())["colour"] == "grey"
    dot = Image.new("RGB", (100, 100), "white")
    dot.paste("red", (0, 0, 9, 11))
    assert kind(dot)["colour"] == "grey"
    dot.paste("red", (0, 0, 10, 10))
    assert kind(dot)["colour"] == "colour"


def test_the_embedded_worlds_photographs_are_told_from_its_drawings() -> None:
    looks = {"photo": "continuous", "drawing": "flat"}
    told = [scene(seed, things=(1, 2, 3)) for seed in range(10_000_000, 10_000_060)]
    assert {one.style for one in told} == set(looks)
    for one in told:
        assert kind(Image.fromarray(render(one)))["look"] == looks[one.style], one
        blurred = render(replace(one, defect="blur", strength=0.8))
        assert kind(Image.fromarray(blurred))["look"] == "continuous"  # as the docstring warns


def test_scenes_are_drawn(scenes) -> None:
    assert [kind(scene) for scene in scenes] == [{"look": "flat", "shape": "square", "colour": "colour"}] * len(scenes)


def test_odd_images_have_a_kind_or_a_reason(run, dataset_of, odd_images) -> None:
    contents, reasons = zip(*odd_images.values(), strict=True)
    told = attach_scores(dataset_of(list(contents)), PictureKind(name="kind"), run=run, batch_size=4)
    assert told.column_names == ["row_id", "image", "kind_look", "kind_shape", "kind_colour", "kind_error"]
    assert told["kind_error"][:] == list(reasons)
    for column, values in (("look", {"flat", "continuous"}), ("shape", {"square"}), ("colour", {"colour", "grey"})):
        found = told[f"kind_{column}"][:]
        assert [value is None for value in found] == [reason is not None for reason in reasons]
        assert set(found) - {None} <= values, column


def test_batch_size_changes_nothing(run, dataset_of, encoded, scenes) -> None:
    dataset = dataset_of([encoded(scene) for scene in scenes])
    one = attach_scores(dataset, PictureKind(name="one"), run=run, batch_size=1)
    eight = attach_scores(dataset, PictureKind(name="eight"), run=run, batch_size=8)
    for column in ("look", "shape", "colour"):
        assert one[f"one_{column}"][:] == eight[f"eight_{column}"][:]
