"""Scoring that is killed: ranks forked from a warm parent, SIGKILL at a random moment, started again.

Used by the suite (three kills) and by `make soak` (forty).
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from datasets import Dataset, disable_progress_bars
from toy_scorers import Length, notes
from tqdm.std import tqdm

ROWS, CHUNK = 240, 8


def rows() -> Dataset:
    """Every text names its row, so that the notes tell which chunk was computed."""
    texts = ["" if index % 17 == 0 else f"row-{index:04d}-" + "x" * (index % 23) for index in range(ROWS)]
    return Dataset.from_dict({"row_id": [f"train-{index}" for index in range(ROWS)], "text": texts})


def scorer() -> Length:
    return Length(rows_per_chunk=CHUNK, seconds_a_call=0.02)


def score(output_dir: Path, result: Path) -> None:
    from tamis.run import Run
    from tamis.scoring import attach_scores

    disable_progress_bars()
    run = Run(output_dir)
    scored = attach_scores(rows(), scorer(), run=run, batch_size=4)
    if run.is_main:
        scored.to_parquet(str(result))
    run.wait()
    run.close()


def start(ranks: int, output_dir: Path, result: Path) -> list[int]:
    """Forks that many ranks, a gloo group of their own when there are several; returns their process ids."""
    port = free_port()

    def work(rank: int) -> None:
        be_rank(rank, ranks, port)
        score(output_dir, result)

    return [fork(partial(work, rank)) for rank in range(ranks)]


def fork(work: Callable[[], object]) -> int:
    """A child of this warm process that ends with 0 once `work` returns; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _own_lock()
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - a fork must not return into the parent's code
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return child


def _own_lock() -> None:
    """tqdm's lock is shared by all forked processes: killed while holding it, one would stop the others for good."""
    kinds, lock = [tqdm], threading.RLock()
    while kinds:
        kind = kinds.pop()
        kind.set_lock(lock)  # each by itself: the first kind of bar that is shown makes a lock for its own kind
        kinds += kind.__subclasses__()


def be_rank(rank: int, ranks: int, port: int) -> None:
    from accelerate.state import AcceleratorState, PartialState

    AcceleratorState._reset_state(True)
    PartialState._reset_state()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - progress bars of killed children
    if ranks > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(ranks),
            "LOCAL_WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }


def wait(children: list[int], longest: float = 120) -> list[int]:
    """How each ended. One that has not after so many seconds is killed: what hangs must fail, not hang the suite."""
    codes: dict[int, int] = {}
    deadline = time.monotonic() + longest
    while left := [child for child in children if child not in codes]:
        late = time.monotonic() > deadline
        for child in left:
            if late:
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, 0 if late else os.WNOHANG)
            if ended:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return [codes[child] for child in children]


def kill(children: list[int], how: str, draw: random.Random) -> None:
    """SIGKILL to all ranks, or to one: the others then lose their partner and end by themselves or with it."""
    victims = children if how == "all" else [draw.choice(children)]
    for child in victims:
        os.kill(child, signal.SIGKILL)
    wait(children, longest=5)  # then killed, as a launcher does with the ranks that a dead one leaves behind


def undisturbed(folder: Path) -> tuple[dict, float]:
    """The reference, and how long one rank takes for it."""
    folder.mkdir(parents=True)
    os.environ["TAMIS_TEST_NOTES"] = str(folder / "notes")
    started = time.monotonic()
    assert wait(start(1, folder / "run", folder / "result.parquet")) == [0]
    seconds = time.monotonic() - started
    return Dataset.from_parquet(str(folder / "result.parquet")).to_dict(), seconds


def disturbed(folder: Path, ranks: list[int], longest: float, draw: random.Random) -> dict:
    """Killed once with each number of ranks, then left to finish; what it came to."""
    folder.mkdir(parents=True)
    os.environ["TAMIS_TEST_NOTES"] = str(folder / "notes")
    result = folder / "result.parquet"
    allowed, moments = 0, []
    for count in ranks:
        children = start(count, folder / "run", result)
        moment = draw.uniform(0, longest / count)
        time.sleep(moment)
        kill(children, draw.choice(["all", "one"]), draw)
        allowed += count
        moments.append(round(moment, 3))
    assert wait(start(1, folder / "run", result)) == [0]
    computed = Counter(text for line in notes(folder / "notes") for text in line.split())
    chunks_again = {int(text.split("-")[1]) // CHUNK: times - 1 for text, times in computed.items() if times > 1}
    return {
        "scored": Dataset.from_parquet(str(result)).to_dict(),
        "ranks": ranks,
        "killed_after_seconds": moments,
        "chunks_computed_again": sum(chunks_again.values()),
        "allowed": allowed,
        "rows_computed": len(computed),
        "left_behind": len([*(folder / "run").rglob("*.partial")]),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
