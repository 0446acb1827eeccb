"""Does the oracle read generated pictures as the eye does? One hundred of tiny/sd, each read by both.

    python benchmarks/oracle_on_generated.py

Writes the numbered sheet benchmarks/eye/generated.jpg, without prompts and without what the oracle read; what a person
read on it stands in benchmarks/eye/generated.csv ("?" where the eye could not tell), bound to the sheet by its hash.
Both are compared with one another and with what was asked.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from measuring import report

from tamis.tiny import WEIGHTS, captions, world
from tamis.tiny.oracle import read
from tamis.tiny.zoo.sheets import NEUTRAL, tiles
from tamis.tiny.zoo.skill import scenes
from tamis.tiny.zoo.skills_of_drawing import generate

EYE = Path(__file__).with_name("eye")
PICTURES = 100


def main() -> None:
    asked = scenes(PICTURES, start=620_000)
    pictures = generate(WEIGHTS / "sd", [f"a {scene.style} of {captions.brief(scene)}" for scene in asked], seed=7)
    shown = hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()[:16]
    EYE.mkdir(exist_ok=True)
    sheet = tiles(pictures, [[(str(number), NEUTRAL)] for number in range(PICTURES)], columns=10, lines=1)
    (EYE / "generated.jpg").write_bytes(sheet)
    labels = EYE / "generated.csv"
    rows = list(csv.DictReader(labels.open(encoding="utf-8"))) if labels.exists() else []
    if len(rows) != PICTURES or any(row["pictures"] != shown for row in rows):
        raise SystemExit(f"{labels}: to be read by eye from {EYE / 'generated.jpg'} anew, with pictures={shown}")

    counts = {name: Counter() for name in (*world.ATTRIBUTES, "all four")}
    for scene, picture, row in zip(asked, pictures, rows, strict=True):
        reading = read(np.asarray(picture))
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
