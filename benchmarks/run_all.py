"""make bench: every benchmark in turn, each in a process of its own; results land in benchmarks/results/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"run_all.py", "measuring.py", "sd15.py"}
# These read tiny/* from the embedded Hub.
ON_THE_HUB = {"typical_candidates.py", "drawing_speed.py", "reward_quality.py"}


def main() -> None:
    for script in sorted(HERE.glob("*.py")):
        if script.name not in NOT_BENCHMARKS:
            print(f"== {script.name}", flush=True)
            hub = [sys.executable, "-m", "tamis.localhub", "run", "--"] if script.name in ON_THE_HUB else []
            subprocess.run([*hub, sys.executable, script, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
