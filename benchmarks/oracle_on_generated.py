"""Does the oracle read generated pictures as the eye does? One hundred of tiny/sd, each read by both.

    python benchmarks/oracle_on_generated.py            # compares on the pictures that were read by eye
    python benchmarks/oracle_on_generated.py --draw     # draws new ones, to be read by eye anew

benchmarks/eye/generated.png holds the pictures, ten a row; what the eye read on an enlarged copy, knowing neither
prompts nor the oracle's reading, stands in generated.csv ("?" where it could not tell), bound to them by their hash.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from measuring import report
from PIL import Image

from tamis.tiny import WEIGHTS, captions, world
from tamis.tiny.oracle import read
from tamis.tiny.zoo.skill import scenes
from tamis.tiny.zoo.skills_of_drawing import generate

EYE = Path(__file__).with_name("eye")
PICTURES, COLUMNS = 100, 10


def draw(prompts: list[str]) -> None:
    whole = Image.new("RGB", (COLUMNS * world.SIDE, PICTURES // COLUMNS * world.SIDE))
    for number, picture in enumerate(generate(WEIGHTS / "sd", prompts, seed=7)):
        whole.paste(picture, (number % COLUMNS * world.SIDE, number // COLUMNS * world.SIDE))
    whole.save(EYE / "generated.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="by tiny/sd, instead of those that were read")
    asked = scenes(PICTURES, start=620_000)
    if parser.parse_args().draw:
        draw([f"a {scene.style} of {captions.brief(scene)}" for scene in asked])
    whole = np.asarray(Image.open(EYE / "generated.png"))
    pictures = [
        whole[top : top + world.SIDE, left : left + world.SIDE]
        for top in range(0, len(whole), world.SIDE)
        for left in range(0, COLUMNS * world.SIDE, world.SIDE)
    ]
    shown = hashlib.sha256(whole.tobytes()).hexdigest()[:16]
    labels = EYE / "generated.csv"
    rows = list(csv.DictReader(labels.read_text(encoding="utf-8").splitlines())) if labels.exists() else []
    if len(rows) != PICTURES or any(row["pictures"] != shown for row in rows):
        raise SystemExit(f"{labels}: not of these pictures; read them by eye, with pictures={shown}")

    counts = {name: Counter() for name in (*world.ATTRIBUTES, "all four")}
    for scene, picture, row in zip(asked, pictures, rows, strict=True):
        reading = read(picture)
        verdicts = []
        for name in world.ATTRIBUTES:
            seen, got = row[name], getattr(reading, name)
            counts[name]["as asked by eye"] += seen == scene.value(name)
            verdicts.append(
                "eye unsure" if seen == "?" else "unsure" if got is None else "right" if got == seen else "wrong"
            )
            counts[name][verdicts[-1]] += 1
        told = [verdict for verdict in verdicts if verdict != "eye unsure"]
        counts["all four"]["wrong" if "wrong" in told else "unsure" if "unsure" in told else "right"] += 1
        counts["all four"]["as asked by eye"] += all(row[name] == scene.value(name) for name in world.ATTRIBUTES)
        counts["all four"]["as asked by oracle"] += all(
            getattr(reading, name) == scene.value(name) for name in world.ATTRIBUTES
        )
    report("oracle_on_generated", {"pictures": PICTURES, "of": shown, "read": counts})


if __name__ == "__main__":
    main()
