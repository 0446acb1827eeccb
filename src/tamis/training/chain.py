"""Adapters of a chain, each trained beside those before it, as one adapter of the model at its root."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tamis.config import ConfigError
from tamis.journal import source_code
from tamis.training.adapter import Adapter, finished, record, unfinish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tamis.sources import Source


def chained(links: Sequence[Path], root: Source, folder: Path) -> Adapter:
    """Their changes added up, exactly: matrices A on top of each other, B beside each other. Its rank is their sum.

    All of them are of `root`: each was trained on it while it wore those before.
    """
    import torch
    from safetensors import safe_open

    from tamis.training import merge_layers, merged_files
    from tamis.training.merge_layers import DOWN, PREFIX, UP
    from tamis.training.peft_files import WEIGHTS

    if not links:
        raise ConfigError("links: there is none; expected one adapter or more")
    parts = [part for link in links for part in merge_layers.read({link.name: link}, root)]
    if any(folder.resolve() == part.folder.resolve() for part in parts):
        raise ConfigError("folder: one of the links lies there; expected one for the chain alone")
    key = _key([part.content for part in parts], root)
    if found := finished(folder, key):
        return found
    weights = {}
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(part.folder / WEIGHTS, framework="pt")) for part in parts]
        for layer in merge_layers.layers(parts):
            downs, ups = [], []
            for part, file in zip(parts, files, strict=True):
                if layer in part.shapes:
                    downs.append(file.get_tensor(f"{PREFIX}{layer}{DOWN}"))
                    up = file.get_tensor(f"{PREFIX}{layer}{UP}")
                    ups.append((up.float() * part.scales[layer]).to(up.dtype))
            if any(one.shape[1] != downs[0].shape[1] for one in downs) or any(len(one) != len(ups[0]) for one in ups):
                raise ConfigError(f"links: layer {layer!r} is not of one size in all of them")
            weights[f"{PREFIX}{layer}{DOWN}"] = torch.cat(downs).contiguous()
            weights[f"{PREFIX}{layer}{UP}"] = torch.cat(ups, dim=1).contiguous()
    numbers = {"links": len(parts), "parameters": sum(weight.numel() for weight in weights.values())}
    adapter = Adapter(folder, root.repo_id, root.revision, numbers)
    unfinish(folder)
    files = merged_files.write(parts, weights, root, folder)
    record(adapter, key, files, {"links": [part.content for part in parts]})
    return adapter


def _key(contents: list[str], root: Source) -> str:
    from tamis.training import merged_files

    told = {"links": contents, "root": [root.repo_id, root.revision]}
    told |= {"code": [source_code(chained), source_code(merged_files.write)]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
