"""A training that is cut off at a step, as a kill would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tamis.training import trl_training


class Killed(BaseException):
    """Ends a process as a kill does, as far as files are concerned."""


@contextmanager
def cut_off_at(
    step: int, monkeypatch: pytest.MonkeyPatch, before: Callable[[Any], Any] = lambda clock: None
) -> Iterator[pytest.MonkeyPatch]:
    """What is done inside with one of TRL's trainers ends once this step is logged. before: given the clock, first."""
    log = trl_training.Clock.on_log

    def cut(self: Any, args: Any, state: Any, *told: Any, **more: Any) -> None:
        if state.global_step == step:
            before(self)
            raise Killed
        log(self, args, state, *told, **more)

    with monkeypatch.context() as patched:
        patched.setattr(trl_training.Clock, "on_log", cut)
        with pytest.raises(Killed):
            yield patched
