"""How often is the oracle right, wrong, unsure? On scenes that fixed none of its thresholds, clean and spoilt.

    python benchmarks/oracle.py --scenes 400

`softened` stands for what a small generator does to a clean scene: edges blurred by 0.8 pixels, grain, colours off by
a few per cent. `jpeg` is quality 30. Of several things, only what the reading is of is told: nothing there is right.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from typing import Any

import numpy as np
from measuring import report
from PIL import Image

from tamis.tiny import world
from tamis.tiny.oracle import agreement, read
from tamis.tiny.render import render

READ = (*world.ATTRIBUTES, "size", "place", "style", "defect")


def softened(picture: np.ndarray, seed: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    draw = np.random.default_rng(seed)
    soft = gaussian_filter(picture.astype(np.float64), (0.8, 0.8, 0)) @ (np.eye(3) + draw.uniform(-0.04, 0.04, (3, 3)))
    return np.clip(np.rint(soft + draw.normal(0, 3, picture.shape)), 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, seed: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file))


SPOILT = {"softened": softened, "jpeg": jpeg}


def measure(condition: str, seeds: range) -> dict[str, Any]:
    counts: dict[str, Counter] = {name: Counter() for name in (*READ, "all four")}
    seconds = []
    for seed in seeds:
        scene = world.scene(seed, defects=(condition if condition in world.DEFECTS else "none",))
        picture = SPOILT[condition](render(scene), seed) if condition in SPOILT else render(scene)
        started = time.process_time()
        reading = read(picture)
        seconds.append(time.process_time() - started)
        truth = {name: scene.defect if name == "defect" else scene.value(name) for name in READ}
        for name, value in truth.items():
            got = getattr(reading, name)
            counts[name]["right" if got == value else "unsure" if got is None else "wrong"] += 1
        four = [getattr(reading, name) for name in world.ATTRIBUTES]
        right = agreement(reading, {name: truth[name] for name in world.ATTRIBUTES}) == 1
        wrong = any(got not in (None, truth[name]) for got, name in zip(four, world.ATTRIBUTES, strict=True))
        counts["all four"]["right" if right else "wrong" if wrong else "unsure"] += 1
    shares = {
        name: {kind: round(found[kind] / len(seeds), 4) for kind in ("right", "wrong", "unsure")}
        for name, found in counts.items()
    }
    return {"read": shares, "milliseconds": round(1000 * float(np.median(seconds)), 1)}


def several(things: int, seeds: range) -> dict[str, dict[str, float]]:
    counts: dict[str, Counter] = {name: Counter() for name in ("shape", "colour", "pattern")}
    for seed in seeds:
        scene = world.scene(seed, things=(things,))
        reading = read(render(scene))
        for name, found in counts.items():
            got, others = getattr(reading, name), {getattr(thing, name) for thing in scene.things[1:]}
            kind = "largest" if got == scene.value(name) else "unsure" if got is None else "none of them"
            found["another" if kind == "none of them" and got in others else kind] += 1
    return {
        name: {kind: round(count / len(seeds), 4) for kind, count in found.items()} for name, found in counts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=400, help="of each condition")
    scenes = parser.parse_args().scenes
    first = world.SEEDS["test"].start + 100_000  # the tests look at earlier ones
    seeds = range(first, first + scenes)
    read(render(world.scene(first)))  # what is computed once is not timed
    conditions = {condition: measure(condition, seeds) for condition in (*world.DEFECTS, *SPOILT)}
    print(f"{'':>10} " + " ".join(f"{name:>15}" for name in (*READ, "all four")) + "  (right/wrong/unsure, %)")
    for condition, found in conditions.items():
        cells = ("/".join(f"{100 * share:.1f}" for share in shares.values()) for shares in found["read"].values())
        print(f"{condition:>10} " + " ".join(f"{cell:>15}" for cell in cells))
    report(
        "oracle",
        {"scenes": scenes, "conditions": conditions, "several": {str(n): several(n, seeds) for n in (2, 3, 4)}},
    )


if __name__ == "__main__":
    main()
