"""Does reading a catalogue of Amazon Berkeley Objects' size take memory that grows with it?

    python benchmarks/listings_memory.py

A made catalogue of 147,702 listings in 16 gzipped files and a table of 398,212 images, as the real one has; texts as
long as real ones, in several languages; a few picture files that all images share. Figures: peak of anonymous memory
over 10,000, 50,000 and all listings, each in a process of its own; rows a second; beside them the same rows put into a
list and made a dataset of at once, and what unpacking and parsing alone take.
"""

from __future__ import annotations

import gzip
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

LISTINGS, IMAGES, FILES, PICTURES = 147_702, 398_212, 16, 64
SIZES = (10_000, 50_000, LISTINGS)
LOCALES = ("en_US", "en_US", "en_IN", "en_GB", "en_AE", "de_DE", "ja_JP", "es_MX")
ALPHABET = string.ascii_letters + string.digits + "-+"


def make(folder: Path) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 11))) for _ in range(5000)]
    texts = [" ".join(draw.choices(words, k=draw.randint(6, 45))) for _ in range(20_000)]
    texts += [f"<b>{text[:60]}</b>: {text}&nbsp;<br>" for text in texts[:1000]]
    images = ["".join(draw.choices(ALPHABET, k=11)) for _ in range(IMAGES)]
    for where in ("listings/metadata", "images/metadata", "images/small"):
        (folder / where).mkdir(parents=True)
    paths = [f"{number:02x}/{number:02x}{'0' * 6}.jpg" for number in range(PICTURES)]
    for path in paths:
        (folder / "images/small" / path).parent.mkdir()
        (folder / "images/small" / path).write_bytes(draw.randbytes(9000))
    with gzip.open(folder / "images/metadata/images.csv.gz", "wt", compresslevel=1) as table:
        table.write("image_id,height,width,path\n")
        table.writelines(f"{name},2560,1969,{draw.choice(paths)}\n" for name in images)
    for file in range(FILES):
        with gzip.open(folder / f"listings/metadata/listings_{file:x}.json.gz", "wt", compresslevel=1) as lines:
            for number in range(file, LISTINGS, FILES):
                lines.write(json.dumps(listing(number, draw, texts, images), ensure_ascii=False) + "\n")


def listing(number: int, draw: random.Random, texts: list[str], images: list[str]) -> dict[str, Any]:
    """About 4,500 characters, half of them keywords and identifiers that nothing here reads."""

    def said(count: int) -> list[dict[str, str]]:
        return [{"language_tag": tongue, "value": text} for text in draw.choices(texts, k=count)]

    tongue = draw.choice(LOCALES)
    made = {
        "brand": said(1),
        "bullet_point": said(5),
        "color": [said(1)[0] | {"standardized_values": ["Black"]}],
        "item_id": f"B0{number:08d}",
        "item_name": said(1),
        "item_keywords": said(10),
        "product_type": [{"value": "CELLULAR_PHONE_CASE"}],
        "other_image_id": draw.choices(images, k=3),
        "item_dimensions": {
            side: {"normalized_value": {"unit": "inches", "value": 1.5}} for side in ("height", "width")
        },
        "node": [{"node_id": number, "node_name": "/Categories/Mobiles & Accessories/Cases & Covers"}],
        "domain_name": "amazon.example",
        "country": "US",
    }
    return made if number % 50 == 0 else made | {"main_image_id": draw.choice(images)}


def read(folder: Path, limit: int | None, how: str) -> dict[str, float]:
    """In this process: seconds, rows, peak of anonymous memory and what there was of it before."""
    from datasets import Dataset

    from tamis.product_vqa.catalogue import open_catalogue
    from tamis.product_vqa.listings import _usable, _with_pictures, listing_features, read_listings
    from tamis.run import Run

    with tempfile.TemporaryDirectory() as output:
        run = Run(output)
        before, began = anonymous_bytes(), time.perf_counter()
        with peak_anonymous() as peak:
            if how == "ours":
                rows = len(read_listings(str(folder), run, limit=limit)[0])
            elif how == "list":
                from collections import Counter

                catalogue, left_out = open_catalogue(str(folder)), Counter()
                made = list(_with_pictures(_usable(catalogue, "en_US", left_out), catalogue, limit, left_out))
                rows = len(Dataset.from_list(made, features=listing_features()))
            else:
                rows = sum("item_id" in json.loads(line) for line in open_catalogue(str(folder)).lines())
        seconds = time.perf_counter() - began
        run.close()
    return {"rows": rows, "seconds": seconds, "peak": peak[0], "before": before}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        make(Path(folder))
        files = sorted(Path(folder, "listings/metadata").iterdir())
        print(
            f"made in {time.perf_counter() - began:.0f} s, {sum(f.stat().st_size for f in files) / 1e6:.0f} MB",
            flush=True,
        )

        def alone(limit: int | None, how: str) -> dict[str, float]:
            command = [sys.executable, __file__, "--read", folder, str(limit or ""), how]
            return json.loads(subprocess.check_output(command, text=True).splitlines()[-1])

        ours = {size: alone(None if size == LISTINGS else size, "ours") for size in SIZES}
        listed, parsed = alone(None, "list"), alone(None, "parse")
    whole = ours[LISTINGS]
    report(
        "listings_memory",
        {
            "listings": LISTINGS,
            "images_in_the_table": IMAGES,
            "rows": whole["rows"],
            "listings_a_second": round(LISTINGS / whole["seconds"]),
            "share_of_the_speed_of_parsing_alone": round(parsed["seconds"] / whole["seconds"], 2),
            "before_megabytes": round(whole["before"] / 1e6, 1),
            "peak_megabytes": {told["rows"]: round(told["peak"] / 1e6, 1) for told in ours.values()},
            "growth_megabytes": round((whole["peak"] - ours[SIZES[0]]["peak"]) / 1e6, 1),
            "peak_megabytes_of_a_list": round(listed["peak"] / 1e6, 1),
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        _, _, where, most, way = sys.argv
        print(json.dumps(read(Path(where), int(most) if most else None, way)))
    else:
        main()
