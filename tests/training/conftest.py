from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_diffusion import captions, save_sd1, save_sdxl

from tamis.run import Run
from tamis.training.adapter import Adapter
from tamis.training.diffusion_lora import train_diffusion_loras


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The same bits are promised for one number of threads, and models as small as these are slower on two.

    By module, so that what a module trains once, before its first test, is trained like the rest.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small-sd1")
    save_sd1(folder)
    return folder


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small-sdxl")
    save_sdxl(folder)
    return folder


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., dict[str, Adapter]]]:
    """train_diffusion_loras() in an output folder of that name; the run stays at hand as train.run."""

    def call(subsets: dict[str, Any], config: Any, where: str = "run", *, seed: int = 0, **more: Any) -> Any:
        run = Run(tmp_path / where, seed=seed)
        call.run = run
        more.setdefault("captions", captions(*subsets))
        try:
            return train_diffusion_loras(subsets, config, run, **more)
        finally:
            run.close()

    return call
