"""Does reading the pool of scale_select take memory that grows with it?

    python benchmarks/pool_memory.py

A made file of 500,000 conversations in LLaVA's form, a JSON list of rows as long as real ones, whose pictures are named
by path in 200 folders of 50 files; one row in twenty cannot be used. Figures: peak of anonymous memory over 10,000,
50,000 and all rows, nine tenths of them drawn, each in a process of its own; rows a second, and beside them what
parsing the list at once takes, for 50,000 rows.
"""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import anonymous_bytes, peak_anonymous, report

ROWS, FOLDERS, FILES = 500_000, 200, 50
SIZES = (10_000, 50_000, ROWS)
LISTED = 50_000  # rows that are parsed at once beside it


def make(folder: Path) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 11))) for _ in range(5000)]
    texts = [" ".join(draw.choices(words, k=draw.randint(8, 90))) for _ in range(20_000)]
    for number in range(FOLDERS):
        place = folder / "images" / f"{number:03d}"
        place.mkdir(parents=True)
        for file in range(FILES):
            (place / f"{file:012d}.jpg").write_bytes(b"\xff")
    for size in {LISTED, ROWS}:
        with (folder / f"{size}.json").open("w") as file:
            for number in range(size):
                file.write(("[" if number == 0 else ", ") + json.dumps(row(number, draw, texts)))
            file.write("]")


def row(number: int, draw: random.Random, texts: list[str]) -> dict[str, Any]:
    """About 1,400 characters: one to four turns; every twentieth row names a picture that is not there."""
    turns = []
    for _ in range(draw.choice((1, 1, 2, 4))):
        turns += [{"from": "human", "value": draw.choice(texts)[:150]}, {"from": "gpt", "value": draw.choice(texts)}]
    turns[0]["value"] = f"<image>\n{turns[0]['value']}"
    file = draw.randrange(FILES) + FILES * (number % 20 == 0)
    image = f"{draw.randrange(FOLDERS):03d}/{file:012d}.jpg"
    return {"id": draw.choice((number, str(number))), "image": image, "conversations": turns}


def read(folder: Path, size: int, how: str) -> dict[str, float]:
    """In this process: seconds, rows, peak of anonymous memory and what there was of it before."""
    from tamis.run import Run
    from tamis.scale_select.reading import read as read_pool

    with tempfile.TemporaryDirectory() as output:
        run = Run(output)
        source = {"source": "LLaVA-1.5-mix", "dataset": str(folder), "image_folder": str(folder / "images")}
        source |= {"files": [f"{ROWS}.json"], "rows": size * 9 // 10, "at_most": True}
        before, began = anonymous_bytes(), time.perf_counter()
        with peak_anonymous() as peak:
            if how == "ours":
                rows = len(read_pool([source], run=run, limit=size).rows)
            else:
                rows = len(json.loads((folder / f"{size}.json").read_bytes()))
        seconds, again = time.perf_counter() - began, 0.0
        if how == "ours":
            began = time.perf_counter()
            read_pool([source], run=run, limit=size)
            again = time.perf_counter() - began
        run.close()
    return {"rows": rows, "seconds": seconds, "again": again, "peak": peak[0], "before": before}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        make(Path(folder))
        size = (Path(folder) / f"{ROWS}.json").stat().st_size
        print(f"made in {time.perf_counter() - began:.0f} s, {size / 1e6:.0f} MB", flush=True)

        def alone(size: int, how: str) -> dict[str, float]:
            command = [sys.executable, __file__, "--read", folder, str(size), how]
            return json.loads(subprocess.check_output(command, text=True).splitlines()[-1])

        ours = {size: alone(size, "ours") for size in SIZES}
        listed = alone(LISTED, "list")
    whole = ours[ROWS]
    report(
        "pool_memory",
        {
            "rows": ROWS,
            "megabytes": round(size / 1e6),
            "drawn": whole["rows"],
            "seconds": round(whole["seconds"], 1),
            "seconds_when_read_before": round(whole["again"], 1),
            "rows_a_second": {size: round(size / told["seconds"]) for size, told in ours.items()},
            "before_megabytes": round(whole["before"] / 1e6, 1),
            "peak_megabytes": {size: round(told["peak"] / 1e6, 1) for size, told in ours.items()},
            "growth_bytes_a_row": round((whole["peak"] - ours[SIZES[1]]["peak"]) / (ROWS - SIZES[1])),
            "peak_megabytes_of_a_list_of_50000": round(listed["peak"] / 1e6, 1),
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        _, _, where, most, way = sys.argv
        print(json.dumps(read(Path(where), int(most), way)))
    else:
        main()
