"""What a process needs in its environment so that unmodified clients speak to the embedded Hub and to nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

# They would lead elsewhere: to a proxy, to caches filled from another Hub, to another account.
_REMOVED = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "DIFFUSERS_OFFLINE",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ASSETS_CACHE",
    "HF_XET_CACHE",
    "HF_TOKEN_PATH",
    "HF_STORED_TOKENS_PATH",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_DATASETS_CACHE",
    "HF_MODULES_CACHE",
    "HF_METRICS_CACHE",
    "HF_EVALUATE_CACHE",
    "TRANSFORMERS_CACHE",
    "HF_HUB_URL",
    "HF_INFERENCE_ENDPOINT",
    "HUGGINGFACE_CO_STAGING",
)


def hub_environment(url: str, token: str, home: Path) -> dict[str, str]:
    """The variables to set; `home` is a cache that only this Hub fills."""
    direct = ",".join(dict.fromkeys(["127.0.0.1", "localhost", urlsplit(url).hostname or ""]))
    return {
        "HF_ENDPOINT": url,
        "HF_TOKEN": token,
        "HF_HOME": str(home),
        # With Xet on, clients upload to another service altogether, which no answer of a Hub can prevent.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def child_environment(current: Mapping[str, str], url: str, token: str, home: Path) -> dict[str, str]:
    """`current` with those variables set and all that would lead elsewhere removed."""
    removed = {*_REMOVED, *(name.lower() for name in _REMOVED)}
    kept = {name: value for name, value in current.items() if name not in removed}
    return {**kept, **hub_environment(url, token, home)}


@contextmanager
def fresh_cache(folder: Path) -> Iterator[Path]:
    """An empty folder for HF_HOME; removed at the end, or by the next one if this process dies before."""
    caches = folder / "caches"
    caches.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in caches.iterdir():
        if not _is_alive(int(left.name.partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    home = tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=caches)
    try:
        yield Path(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
