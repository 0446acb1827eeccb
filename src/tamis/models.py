"""One large model a process: the next one to load frees the last. Where it runs, in which dtype, by which kernels."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model")

_held: tuple[Hashable, Any] | None = None


def hold(key: Hashable, load: Callable[[], Model]) -> Model:
    """The model of this key, loaded at most once in a row. A 24 GB card holds one judge, not two: the last one goes."""
    global _held
    if _held is None or _held[0] != key:
        release()
        _held = (key, load())
    return _held[1]


def release() -> None:
    """Frees the held model and its device memory; called before the next one loads and before training."""
    global _held
    if _held is None:
        return
    _held = None
    gc.collect()
    import torch

    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def once(load: Callable[..., Model]) -> Callable[..., Model]:
    """What it loads is kept, for small parts that rows are prepared with: threads that all want it at once, for their
    first row, wait for the one that loads it."""
    kept, loading = lru_cache(maxsize=8)(load), threading.Lock()

    @wraps(load)
    def loaded(*of: Hashable) -> Model:
        with loading:
            return kept(*of)

    return loaded


def device() -> torch.device:
    import torch
    from accelerate import PartialState

    # Without cpu=True two CPU ranks would each believe to be alone (accelerate asks for an accelerator by default).
    return PartialState(cpu=not torch.accelerator.is_available()).device


def dtype() -> torch.dtype:
    """bfloat16 where the device computes in it, float16 on older cards, float32 on a CPU."""
    import torch

    where = device()
    if where.type == "cpu":
        return torch.float32
    if where.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


class KernelWatch:
    """Notes which attention and custom kernels run inside `with`: a fallback to slow reference code shows up here."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __enter__(self) -> KernelWatch:
        from torch.utils._python_dispatch import TorchDispatchMode

        names = self.names

        class Watch(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001
                name = function.name()
                if "attention" in name or not name.startswith(("aten::", "prim::", "prims::")):
                    names.add(name)
                return function(*args, **(kwargs or {}))

        self._watch = Watch()
        self._watch.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._watch.__exit__(*exception)
