"""make soak: scoring killed forty times, with one rank, with two, with the number changed between; the log is kept.

python tests/soak.py [--kills 40] [--seed 0]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import killing

LOG = Path(__file__).resolve().parent.parent / "benchmarks" / "soak" / "kills.log"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    failures = kills = again = 0
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, LOG.open("w") as log:

        def say(text: str) -> None:
            print(text, flush=True)
            log.write(text + "\n")

        # The parent must be warm before it forks: importing in every child would take longer than scoring.
        import tamis.run  # noqa: F401
        import tamis.scoring  # noqa: F401

        reference, seconds = killing.undisturbed(Path(name) / "undisturbed")
        say(f"seed {given.seed}; {killing.ROWS} rows in chunks of {killing.CHUNK}; undisturbed: {seconds:.2f} s")
        turn = 0
        while kills < given.kills:
            turn += 1
            ranks = [draw.choice([1, 2]) for _ in range(min(draw.randint(1, 4), given.kills - kills))]
            started = time.monotonic()
            got = killing.disturbed(Path(name) / f"turn-{turn}", ranks, seconds, draw)
            kills += len(ranks)
            again += got["chunks_computed_again"]
            same = got["scored"] == reference
            within = got["chunks_computed_again"] <= got["allowed"]
            failures += not (same and within and got["left_behind"] == 0)
            say(
                f"turn {turn}: ranks {ranks} killed after {got['killed_after_seconds']} s; equal to the undisturbed: "
                f"{same}; chunks computed again: {got['chunks_computed_again']} (at most {got['allowed']}); files left "
                f"behind: {got['left_behind']}; {time.monotonic() - started:.1f} s"
            )
        say(f"{kills} kills, {again} chunks computed again, {failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
