"""Small rendered scenes with captions: some captions wrong, some pictures blurred, noisy, dark or drawn twice.

A stand-in for a scraped image/text set, whose defects are known: the `defect` column says what a selection should
have avoided, and no scorer reads it.
"""

from __future__ import annotations

import io
import random
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

SIZE = 96
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring", "star", "bar")
COLOURS = {
    "red": (214, 48, 49),
    "green": (39, 174, 96),
    "blue": (41, 98, 255),
    "yellow": (241, 196, 15),
    "purple": (142, 68, 173),
    "orange": (230, 126, 34),
    "pink": (253, 121, 168),
    "white": (245, 246, 250),
}
GROUNDS = {"sand": (222, 202, 160), "slate": (72, 84, 96), "mint": (178, 224, 200), "sky": (163, 203, 245)}
DEFECTS = ("none", "blurred", "noisy", "dark", "wrong caption", "duplicate")
# Out of 20 rows: 11 are sound.
DEFECT_OF = ("none",) * 11 + ("blurred",) * 2 + ("noisy",) + ("dark",) * 2 + ("wrong caption",) * 2 + ("duplicate",) * 2


def scenes(rows: int, seed: int) -> list[dict[str, Any]]:
    """Rows of the dataset tiny/scenes, the same for the same seed, whatever the library versions."""
    made: list[dict[str, Any]] = []
    for index in range(rows):
        draw = random.Random(f"{seed}-{index}")
        defect = draw.choice(DEFECT_OF)
        if defect == "duplicate" and made:
            original = draw.choice(made)
            scene, drawn = original["scene"], original["drawn"]
            image = _recompressed(original["picture"], draw)
        else:
            defect = "none" if defect == "duplicate" else defect
            scene, drawn = _scene(draw), index
            image = _spoilt(_rendered(scene, draw), defect, draw)
        caption = _caption(_other(scene, draw) if defect == "wrong caption" else scene, draw)
        made.append({"scene": scene, "picture": image, "caption": caption, "defect": defect, "drawn": drawn})
    return [
        {
            "id": f"scene-{index:04d}",
            "image": {"bytes": _encoded(row["picture"]), "path": f"scene-{index:04d}.png"},
            "caption": row["caption"],
            "shape": row["scene"]["shape"],
            "ground": row["scene"]["ground"],
            "defect": row["defect"],
            "drawing": f"scene-{row['drawn']:04d}",
        }
        for index, row in enumerate(made)
    ]


def _scene(draw: random.Random) -> dict[str, Any]:
    return {
        "shape": draw.choice(SHAPES),
        "colour": draw.choice(list(COLOURS)),
        "ground": draw.choice(list(GROUNDS)),
        "size": draw.choice(("small", "large")),
        "centre": (draw.randint(34, 62), draw.randint(34, 62)),
        "turn": draw.randint(0, 359),
    }


def _other(scene: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """The same scene with another shape and colour: what a wrong caption speaks of."""
    return scene | {
        "shape": draw.choice([shape for shape in SHAPES if shape != scene["shape"]]),
        "colour": draw.choice([colour for colour in COLOURS if colour != scene["colour"]]),
    }


def _caption(scene: dict[str, Any], draw: random.Random) -> str:
    form = draw.choice(("a {size} {colour} {shape} on {ground}", "{ground} ground with one {size} {colour} {shape}"))
    return form.format(**scene)


def _rendered(scene: dict[str, Any], draw: random.Random) -> Image.Image:
    # Drawn at four times the size and reduced, which is how edges get smooth in Pillow.
    scale = 4
    ground = Image.new("RGB", (SIZE * scale, SIZE * scale), GROUNDS[scene["ground"]])
    brush = ImageDraw.Draw(ground)
    for _ in range(60):  # flecks: a ground without any texture has no sharpness to measure
        x, y = draw.randint(0, SIZE * scale), draw.randint(0, SIZE * scale)
        shade = tuple(max(0, min(255, part + draw.randint(-26, 26))) for part in GROUNDS[scene["ground"]])
        brush.rectangle((x, y, x + draw.randint(3, 12), y + draw.randint(3, 12)), fill=shade)
    reach = (13 if scene["size"] == "small" else 24) * scale
    layer = Image.new("L", ground.size, 0)
    _outline(ImageDraw.Draw(layer), scene["shape"], [part * scale for part in scene["centre"]], reach)
    if scene["shape"] not in ("circle", "ring"):
        layer = layer.rotate(scene["turn"], center=[part * scale for part in scene["centre"]])
    ground.paste(COLOURS[scene["colour"]], mask=layer)
    return ground.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _outline(brush: ImageDraw.ImageDraw, shape: str, centre: list[int], reach: int) -> None:
    x, y = centre
    third = reach // 3
    if shape == "circle":
        brush.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    elif shape == "ring":
        brush.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
        brush.ellipse((x - reach // 2, y - reach // 2, x + reach // 2, y + reach // 2), fill=0)
    elif shape == "square":
        brush.rectangle((x - reach * 0.8, y - reach * 0.8, x + reach * 0.8, y + reach * 0.8), fill=255)
    elif shape == "cross":
        brush.rectangle((x - reach, y - third, x + reach, y + third), fill=255)
        brush.rectangle((x - third, y - reach, x + third, y + reach), fill=255)
    elif shape == "bar":
        brush.rectangle((x - reach, y - third, x + reach, y + third), fill=255)
    else:
        sides = {"triangle": 3, "diamond": 4, "star": 5}[shape]
        if shape == "star":
            from math import cos, pi, sin

            points = [
                (
                    x + (reach if turn % 2 == 0 else reach * 0.42) * sin(turn * pi / sides),
                    y - (reach if turn % 2 == 0 else reach * 0.42) * cos(turn * pi / sides),
                )
                for turn in range(2 * sides)
            ]
            brush.polygon(points, fill=255)
        else:
            brush.regular_polygon((x, y, reach), n_sides=sides, rotation=0, fill=255)


def _spoilt(image: Image.Image, defect: str, draw: random.Random) -> Image.Image:
    if defect == "blurred":
        return image.filter(ImageFilter.GaussianBlur(draw.uniform(2.0, 4.0)))
    if defect == "dark":
        return image.point(lambda part: int(part * 0.18))
    if defect == "noisy":
        strength = draw.randint(35, 60)
        noise = bytes(draw.randint(0, 2 * strength) for _ in range(SIZE * SIZE * 3))
        grains = Image.frombytes("RGB", (SIZE, SIZE), noise)
        pixels = zip(image.tobytes(), grains.tobytes(), strict=True)
        return Image.frombytes("RGB", image.size, bytes(max(0, min(255, p + g - strength)) for p, g in pixels))
    return image


def _recompressed(image: Image.Image, draw: random.Random) -> Image.Image:
    """The same picture as another site would serve it: a JPEG of a slightly other size."""
    side = draw.choice((80, 88, 104, 112))
    buffer = io.BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=draw.randint(70, 90))
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
