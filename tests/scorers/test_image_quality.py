"""Each measure falls, step by step, as its defect grows: on drawn scenes and on real photographs."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from tamis.images import Unscorable
from tamis.scorers.image_quality import ImageQuality
from tamis.scoring import attach_scores

MEASURES = ("sharpness", "noise", "exposure", "contrast", "resolution")


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def noised(image: Image.Image, deviation: float) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    grain = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def exposed(image: Image.Image, gain: float) -> Image.Image:
    return image.point(lambda value: min(255, int(value * gain)))


def flattened(image: Image.Image, amount: float) -> Image.Image:
    return Image.blend(image, Image.new("RGB", image.size, (128, 128, 128)), amount)


def shrunk(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((int(image.width / factor), int(image.height / factor)), Image.Resampling.LANCZOS)


@pytest.fixture(scope="module")
def pictures(scenes) -> list[Image.Image]:
    photographs = [Image.fromarray(photograph()) for photograph in (data.astronaut, data.chelsea, data.coffee)]
    return [*scenes[:3], *photographs]


def scores(image: Image.Image) -> dict[str, float]:
    return ImageQuality().prepare({"image": image})


@pytest.mark.parametrize(
    ("measure", "worsened", "steps"),
    [
        ("sharpness", blurred, [0, 0.7, 1.5, 3, 6]),
        ("noise", noised, [0, 4, 8, 16, 32]),
        ("exposure", exposed, [0.9, 0.5, 0.25, 0.1]),
        ("contrast", flattened, [0, 0.25, 0.5, 0.75, 0.95]),
        ("resolution", shrunk, [1, 1.5, 2, 4]),
    ],
)
def test_a_growing_defect_lowers_its_measure_and_the_whole(pictures, measure, worsened, steps):
    for number, picture in enumerate(pictures):
        series = [scores(worsened(picture, step)) for step in steps]
        for name in (measure, "overall"):
            values = [score[name] for score in series]
            assert all(np.diff(values) < 0), (number, name, values)
        assert series[0][measure] - series[-1][measure] > 0.1, (number, series)


def test_over_exposure_lowers_exposure_and_the_whole(pictures):
    """From where it begins to be too much: a little more light improves a dark picture."""
    for picture in pictures[3:]:
        series = [scores(exposed(picture, gain)) for gain in (1.6, 2.5, 4, 8)]
        for name in ("exposure", "overall"):
            values = [score[name] for score in series]
            assert all(np.diff(values) < 0), (name, values)
    for picture in pictures[:3]:
        assert all(np.diff([scores(exposed(picture, gain))["exposure"] for gain in (1.2, 1.5, 1.8)]) < 0)


def test_overall_is_the_geometric_mean(scenes):
    found = scores(scenes[0])
    assert found["overall"] == pytest.approx(np.prod([found[measure] for measure in MEASURES]) ** 0.2)
    assert all(0 < found[measure] <= 1 for measure in MEASURES)


def test_blank_pictures_have_the_lowest_scores_and_no_nan():
    for colour in ("black", "white", "grey"):
        found = scores(Image.new("RGB", (200, 100), colour))
        assert (found["sharpness"], found["contrast"], found["overall"]) == (0.0, 0.0, 0.0)
        assert found["noise"] > 0.999
    assert scores(Image.new("RGB", (64, 64), "white"))["exposure"] < 0.05


def test_drawings_on_black_are_clean():
    """scikit-image's own estimate leaves exact zeros out, and so takes the edges of such a drawing for noise."""
    drawing = Image.new("L", (128, 128), 0)
    drawing.paste(255, (30, 30, 71, 93))
    assert scores(drawing.convert("RGB"))["noise"] == 1.0
    assert scores(noised(drawing.convert("RGB"), 10))["noise"] < 0.8


def test_resolution_is_of_the_picture_as_stored(scenes):
    found = {side: scores(scenes[0].resize((side, side)))["resolution"] for side in (64, 512, 3000)}
    assert found[512] == 0.5
    assert found[3000] == pytest.approx(3000 / 3512)
    assert scores(scenes[0].resize((200, 50)))["resolution"] == scores(scenes[0].resize((50, 200)))["resolution"]


def test_odd_images_get_a_score_or_a_reason(run, dataset_of, odd_images):
    contents, reasons = zip(*odd_images.values(), strict=True)
    scored = attach_scores(dataset_of(list(contents)), ImageQuality(name="quality"), run=run, batch_size=4)
    assert scored["quality_error"] == list(reasons)
    columns = [f"quality_{measure}" for measure in (*MEASURES, "overall")]
    assert scored.column_names == ["row_id", "image", *columns, "quality_error"]
    for column in columns:
        values = scored[column][:]
        assert [value is None for value in values] == [reason is not None for reason in reasons], column
        assert all(0 <= value <= 1 for value in values if value is not None), column


@pytest.mark.parametrize(("size", "reason"), [((9, 200), "under 16 pixels"), ((16, 4000), "a strip")])
def test_shapes_that_cannot_be_measured_have_a_reason(size, reason):
    with pytest.raises(Unscorable, match=reason):
        scores(Image.new("RGB", size))


def test_large_pictures_cost_little_more(scenes):
    """24 megapixels measured whole take over two seconds."""
    large = scenes[0].resize((6000, 4000))
    scores(scenes[0])
    started = time.perf_counter()
    scores(large)
    assert time.perf_counter() - started < 1.5


def test_batch_size_changes_nothing(run, dataset_of, encoded, scenes):
    dataset = dataset_of([encoded(scene) for scene in scenes])
    one = attach_scores(dataset, ImageQuality(name="one"), run=run, batch_size=1)
    eight = attach_scores(dataset, ImageQuality(name="eight"), run=run, batch_size=8)
    for measure in (*MEASURES, "overall"):
        assert one[f"one_{measure}"][:] == eight[f"eight_{measure}"][:]
