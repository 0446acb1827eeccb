"""The client libraries, unmodified, in processes of their own: they read their settings when they are imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tamis.localhub import LiveHub

CHILDREN = Path(__file__).parent / "children"


@pytest.mark.parametrize("name", ["datasets_child", "models_child"])
def test_unmodified_clients(own_hub: LiveHub, tmp_path: Path, name: str):
    command = [sys.executable, str(CHILDREN / f"{name}.py"), str(tmp_path)]
    done = subprocess.run(command, env=own_hub.environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "done").exists()
    refused = [one for one in own_hub.requests if one.status >= 500]
    assert not refused
