"""What does attach_scores itself cost? A scorer that does nothing, against plain datasets.map doing the same nothing.

    python benchmarks/engine_overhead.py

Figures: µs a row over 100,000 rows; seconds to restart when all is scored; bytes written a row and float column; growth
of anonymous memory from 10,000 to 100,000 image rows (each in a process of its own).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from measuring import peak_anonymous, report

ROWS = 100_000
RUNS = 5
IMAGE_BYTES = 5_000


@dataclass(frozen=True)
class Nothing:
    """A constant for every row: what remains is the engine."""

    name: str = "nothing"
    inputs: tuple[str, ...] = ("text",)
    rows_per_chunk: int = 1024
    models: ClassVar[tuple] = ()
    bucket_by: ClassVar[str | None] = None

    @property
    def columns(self) -> Any:
        from datasets import Features, Value

        return Features({"nothing_constant": Value("float32")})

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return row

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"nothing_constant": [0.5] * len(batch[self.inputs[0]])}


def texts(folder: Path) -> Any:
    from datasets import Dataset

    rows = {"row_id": [f"train-{i}" for i in range(ROWS)], "text": [f"caption number {i}" for i in range(ROWS)]}
    Dataset.from_dict(rows).save_to_disk(str(folder))
    return Dataset.load_from_disk(str(folder))


def images(folder: Path, rows: int) -> Any:
    """Rows as large as small JPEGs; nothing decodes them here."""
    from datasets import Dataset, Features, Image, Value
    from datasets.arrow_writer import ArrowWriter

    features = Features({"row_id": Value("string"), "image": Image(decode=False)})
    path = folder / f"{rows}.arrow"
    with ArrowWriter(path=str(path), features=features) as writer:
        for index in range(rows):
            writer.write({"row_id": f"train-{index}", "image": {"bytes": os.urandom(IMAGE_BYTES), "path": None}})
        writer.finalize()
    return Dataset.from_file(str(path))


def memory(rows: int) -> int:
    """Peak anonymous bytes of a process that scores that many image rows, imports included."""
    from tamis.run import Run
    from tamis.scoring import attach_scores

    with tempfile.TemporaryDirectory() as folder:
        dataset = images(Path(folder), rows)
        run = Run(Path(folder) / "run")
        warm = Nothing(name="nothing", inputs=("image",))
        with peak_anonymous() as peak:
            attach_scores(dataset, warm, run=run, batch_size=32)
        run.close()
    return peak[0]


def main() -> None:
    import datasets

    from tamis.run import Run
    from tamis.scoring import attach_scores

    datasets.disable_progress_bars()
    ours, peers, again, written = [], [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        dataset = texts(Path(folder) / "texts")
        for turn in range(RUNS):
            run = Run(Path(folder) / f"run-{turn}")
            started = time.perf_counter()
            attach_scores(dataset, Nothing(), run=run, batch_size=32)
            ours.append((time.perf_counter() - started) / ROWS * 1e6)
            written = sum(path.stat().st_size for path in run.output_dir.rglob("*") if path.is_file())
            run.close()

            started = time.perf_counter()
            dataset.map(
                lambda batch: {"nothing_constant": [0.5] * len(batch["text"])},
                batched=True,
                batch_size=32,
                load_from_cache_file=False,
            )
            peers.append((time.perf_counter() - started) / ROWS * 1e6)

            run = Run(Path(folder) / f"run-{turn}")
            started = time.perf_counter()
            attach_scores(dataset, Nothing(), run=run, batch_size=32)
            again.append(time.perf_counter() - started)
            assert run.stages[-1]["chunks_computed"] == 0
            run.close()

    peaks = {
        rows: int(subprocess.check_output([sys.executable, __file__, "--memory", str(rows)], text=True).split()[-1])
        for rows in (10_000, ROWS)
    }
    report(
        "engine_overhead",
        {
            "rows": ROWS,
            "runs": RUNS,
            "microseconds_a_row": round(statistics.median(ours), 2),
            "datasets_map_microseconds_a_row": round(statistics.median(peers), 2),
            "ratio_to_datasets_map": round(statistics.median(o / p for o, p in zip(ours, peers, strict=True)), 2),
            "restart_seconds": round(statistics.median(again), 3),
            "bytes_written_a_row_and_float_column": round(written / ROWS, 1),
            "anonymous_megabytes": {rows: round(peak / 1e6, 1) for rows, peak in peaks.items()},
            "anonymous_growth_megabytes": round((peaks[ROWS] - peaks[10_000]) / 1e6, 1),
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        print(memory(int(sys.argv[2])))
    else:
        main()
