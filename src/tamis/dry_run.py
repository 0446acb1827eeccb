"""What a whole run would take, measured on its first rows: rows, time, memory, disk, downloads."""

from __future__ import annotations

import dataclasses
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.scoring import attach_scores
from tamis.sources import pin

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.generate import Drawing
    from tamis.rows import Extent
    from tamis.run import Run
    from tamis.scoring import Scorer
    from tamis.training.diffusion_lora import DiffusionLora

ROWS = 64
STEPS, DRAWN = 4, 2  # of training, and pictures


def estimate(
    sample: Dataset, scorers: list[Scorer], extent: Extent, *, run: Run, batch_size: int, limit: int | None
) -> list[tuple[str, str]]:
    """Scores the sample twice, in folders of its own, and scales up; nothing is left behind that a run would use.

    One process measures (the sample is one chunk); several are taken to share the rows evenly.
    """
    total = min(extent.rows, limit) if extent.rows and limit else extent.rows or limit
    lines = [("rows", f"{total:,}" if total else "unknown (the dataset does not say); figures are for 1,000 rows")]
    scale = (total or 1000) / len(sample)
    seconds, written, download = 0.0, 0, 0
    with borrowed_folder(run) as folder:
        for scorer in scorers:
            cold = timed(sample, scorer, run, folder / "cold", batch_size)  # loads the model, starts the threads
            warm = timed(sample, scorer, run, folder / "warm", batch_size)
            seconds += warm * scale / run.ranks + max(0.0, cold - warm)
            download += sum(size_of(repo, revision) for repo, revision in scorer.models)
            rate = len(sample) * run.ranks / max(warm, 1e-9)
            lines.append((scorer.name, f"{duration(warm * scale / run.ranks)} ({rate:,.0f} rows/s)"))
        written = sum(path.stat().st_size for path in (folder / "warm").rglob("*.arrow"))
    stored = sample.with_format("arrow")[:].nbytes
    lines += [
        ("time to score", f"{duration(seconds)} on {run.ranks} process(es), {run.accelerator.device.type}"),
        ("memory", peak_memory()),
        ("disk", f"{size(written * scale)} of scores, {size(stored * scale)} of rows, as much again to publish"),
        ("downloads", f"{size(extent.download_bytes)} of data, {size(download)} of models (less what is cached)"),
    ]
    return lines


@contextmanager
def borrowed_folder(run: Run) -> Iterator[Path]:
    """A folder that all ranks share, and that is gone afterwards."""
    folder = Path(run.from_main(tempfile.mkdtemp(prefix="tamis-dry-run-") if run.is_main else None))
    try:
        yield folder
        run.wait()
    finally:
        if run.is_main:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def elsewhere(run: Run) -> Iterator[Path]:
    """What runs inside leaves nothing that a run would use."""
    with borrowed_folder(run) as folder:
        own, run.output_dir = run.output_dir, folder
        try:
            yield folder
        finally:
            run.output_dir = own


def timed(sample: Dataset, scorer: Scorer, run: Run, folder: Path, batch_size: int) -> float:
    output_dir, run.output_dir = run.output_dir, folder
    try:
        attach_scores(sample, scorer, run=run, batch_size=batch_size)
        return run.stages.pop()["seconds"]
    finally:
        run.output_dir = output_dir


def step_seconds(sample: Dataset, config: DiffusionLora, run: Run, *, image_column: str) -> float:
    """Of an optimiser step of one adapter; several at once take less each. In a borrowed folder."""
    from tamis.training.diffusion_lora import train_diffusion_loras

    few = dataclasses.replace(config, max_train_steps=STEPS, adapters_at_once=1, sample_every=None)
    before = len(run.stages)
    subset, caption = {"dry-run": sample}, {"dry-run": "a photo"}
    adapter = train_diffusion_loras(subset, few, run, image_column=image_column, captions=caption)["dry-run"]
    del run.stages[before:]
    return 1 / adapter.train_metrics["steps_per_second"]


def picture_seconds(drawing: Drawing) -> float:
    pictures = {"prompt": ["a photo"] * DRAWN, "seed": list(range(DRAWN)), "adapter": [None] * DRAWN}
    drawing({name: values[:1] for name, values in pictures.items()})  # loads the model
    started = time.perf_counter()
    drawing(pictures)
    return (time.perf_counter() - started) / DRAWN


def size_of(repo: str, revision: str | None) -> int:
    from huggingface_hub import HfApi

    source = pin(repo, "model", revision)
    if source.local:
        return 0
    info = HfApi().model_info(repo, revision=source.revision, files_metadata=True)
    return sum(file.size or 0 for file in info.siblings if file.rfilename.endswith((".safetensors", ".json", ".txt")))


def peak_memory() -> str:
    import torch

    own = size(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    if models.device().type != "cuda":
        return f"{own} a process at its peak"
    return f"{own} a process, {size(torch.cuda.max_memory_allocated())} on the GPU, at its peak"


def duration(seconds: float) -> str:
    steps: list[tuple[float, Callable[[float], str]]] = [
        (100, lambda s: f"{s:.1f} s"),
        (6000, lambda s: f"{s / 60:.0f} min"),
        (float("inf"), lambda s: f"{s / 3600:.1f} h"),
    ]
    return next(say(seconds) for limit, say in steps if seconds < limit)


def size(count: float | None) -> str:
    if count is None:
        return "an unknown amount"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("TB is the last unit")


def show(run: Run, lines: list[tuple[str, Any]]) -> None:
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        run.say(f"  {name.ljust(width)}  {value}")
