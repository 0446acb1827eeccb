"""One embedded Hub for the whole session, started before any Hub library is imported (they read HF_ENDPOINT once)."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tamis import localhub

ROOT = Path(__file__).resolve().parent.parent
_open = ExitStack()
_hub: localhub.LiveHub


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails: CI has everything they need")


def pytest_configure(config: pytest.Config) -> None:
    global _hub
    from tamis.tiny import seeds

    if "huggingface_hub" in sys.modules:
        raise pytest.UsageError(
            "a conftest.py imports huggingface_hub before the Hub's address is set: do so in fixtures"
        )
    folder = _open.enter_context(tempfile.TemporaryDirectory(prefix="tamis-tests-"))
    _hub = _open.enter_context(localhub.live(Path(folder) / "hub"))
    os.environ.clear()
    os.environ.update(_hub.environment)
    localhub.seed(_hub.store, seeds())  # writing the seeds imports Hub libraries: after the environment is set
    # Two cores: torch in the tests and the Hub's thread share them.
    os.environ.setdefault("OMP_NUM_THREADS", "2")


def pytest_unconfigure(config: pytest.Config) -> None:
    _open.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.config.getoption("--no-skips") and "gpu" not in item.keywords:
        report.outcome = "failed"
        report.longrepr = f"skipped where no skip is allowed: {report.longrepr}"


@pytest.fixture
def hub() -> Iterator[localhub.LiveHub]:
    """The session's Hub; faults armed by a test end with it."""
    yield _hub
    _hub.faults.clear()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[object]:
    from tamis.run import Run

    made = Run(tmp_path / "run")
    yield made
    made.close()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """The same bits are promised for one number of threads, and models of a few million parameters are slower on two.

    By module, so that what a module trains once, before its first test, is trained like the rest.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_model_held() -> Iterator[None]:
    yield
    from tamis import models

    models.release()


@pytest.fixture(scope="session")
def recipes() -> Path:
    return ROOT / "recipes"


@pytest.fixture(scope="module")
def main(request: pytest.FixtureRequest) -> Callable[..., object]:
    """The main() of the recipe that a test file is named after."""
    name = Path(request.module.__file__).stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(name, ROOT / "recipes" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.main
