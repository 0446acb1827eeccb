from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tamis.training.adapter import Adapter


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None: ...


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_diffusion import save_sd1

    folder = tmp_path_factory.mktemp("small-sd1")
    save_sd1(folder)
    return folder


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_diffusion import save_sdxl

    folder = tmp_path_factory.mktemp("small-sdxl")
    save_sdxl(folder)
    return folder


@pytest.fixture(scope="session")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_blip import save_blip

    folder = tmp_path_factory.mktemp("small-blip")
    save_blip(folder)
    return folder


@pytest.fixture
def vqa(tmp_path: Path) -> Callable[..., dict[str, Adapter]]:
    """train_vqa_loras() in an output folder of that name; the run stays at hand as vqa.run."""
    from tamis.run import Run
    from tamis.training.vqa_lora import train_vqa_loras

    def call(wanted: dict[str, Any], config: Any, where: str = "run", **more: Any) -> Any:
        run = Run(tmp_path / where)
        call.run = run
        try:
            return train_vqa_loras(wanted, config, run, **more)
        finally:
            run.close()

    return call


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., dict[str, Adapter]]:
    """train_diffusion_loras() in an output folder of that name; the run stays at hand as train.run."""
    from small_diffusion import captions

    from tamis.run import Run
    from tamis.training.diffusion_lora import train_diffusion_loras

    def call(subsets: dict[str, Any], config: Any, where: str = "run", *, seed: int = 0, **more: Any) -> Any:
        run = Run(tmp_path / where, seed=seed)
        call.run = run
        more.setdefault("captions", captions(*subsets))
        try:
            return train_diffusion_loras(subsets, config, run, **more)
        finally:
            run.close()

    return call
