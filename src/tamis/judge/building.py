"""A judge from the settings of a YAML: {backend: transformers or api, and that judge's own settings}."""

from __future__ import annotations

from typing import Any

from tamis.config import ConfigError, from_values
from tamis.judge.api import ApiJudge
from tamis.judge.local import LocalJudge

Judge = LocalJudge | ApiJudge
BACKENDS = {"transformers": LocalJudge, "api": ApiJudge}


def build(settings: dict[str, Any] | Judge, where: str = "judge") -> Judge:
    """The judge that the settings describe; backend may be left out: transformers. A judge comes back as it is."""
    if isinstance(settings, Judge):
        return settings
    settings = dict(settings)
    backend = settings.pop("backend", "transformers")
    if backend not in tuple(BACKENDS):  # a list in its place has no hash
        raise ConfigError(f"{where}: backend: {backend!r} is not accepted; expected one of {', '.join(BACKENDS)}")
    return from_values(BACKENDS[backend], settings, f"{where} ({backend})")
