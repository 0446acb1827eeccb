"""What adapters in PEFT's format change in a model, layer by layer, and how several changes become one.

A layer's change is scale · B·A, float32. At any moment one layer is held, once for each adapter: a model of 7 B is
merged in the memory of its largest layer.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis.config import ConfigError
from tamis.training.adapter import weights_hash
from tamis.training.peft_files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from tamis.sources import Source
    from tamis.training.merge import Merge

PREFIX, DOWN, UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
MORE = (  # what an adapter can hold beside B·A; merging that is not defined here
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "fan_in_fan_out",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
    "megatron_config",
)
FROM_THE_BASE = (True, False, "gaussian", "orthogonal", "eva")  # the others of PEFT begin by changing the base model


@dataclass(frozen=True)
class Part:
    """An adapter to be merged, as its files tell it."""

    name: str
    folder: Path
    config: dict[str, Any]
    content: str  # hash
    scales: dict[str, float]  # by layer
    shapes: dict[str, tuple[int, int, int]]  # outputs, inputs, rank
    dtypes: dict[str, torch.dtype]


@dataclass(frozen=True)
class Merged:
    """One layer's merged change; where a kind merges factors, it is up @ down."""

    layer: str
    change: torch.Tensor
    factors: tuple[torch.Tensor, torch.Tensor] | None  # down, up
    dtype: torch.dtype  # of the parts


def read(folders: dict[str, Path], base: Source | None = None) -> list[Part]:
    """The adapters by name, of `base` where it is given. What cannot be merged is refused before any change."""
    if not folders:
        raise ConfigError("parts: there is none; expected one adapter or more")
    parts = [_part(name, Path(folder)) for name, folder in folders.items()]
    for part in parts if base else ():
        _refuse_unlike(part, base)
    first = parts[0]
    for part in parts[1:]:
        for field in ("base_model_name_or_path", "revision"):
            one, other = first.config.get(field), part.config.get(field)
            if one != other and (field != "revision" or (one and other)):
                raise ConfigError(
                    f"adapters {first.name!r} and {part.name!r} are of different base models: {field} is {one!r} in "
                    f"one, {other!r} in the other"
                )
    for layer in layers(parts):
        having = [part for part in parts if layer in part.shapes]
        for part in having[1:]:
            if part.shapes[layer][:2] != having[0].shapes[layer][:2]:
                raise ConfigError(
                    f"adapters {having[0].name!r} and {part.name!r}: layer {layer!r} has {having[0].shapes[layer][:2]} "
                    f"outputs and inputs in one, {part.shapes[layer][:2]} in the other"
                )
    return parts


def _refuse_unlike(part: Part, base: Source) -> None:
    told, revision = part.config.get("base_model_name_or_path") or "", part.config.get("revision")
    same = told == base.repo_id or (base.local and Path(told).name == base.repo_id)
    if not same or (revision and not base.local and revision != base.revision):
        raise ConfigError(
            f"adapter {part.name!r} is of base model {told!r} at {revision}; expected {base.repo_id!r} at "
            f"{base.revision}"
        )


def layers(parts: list[Part]) -> list[str]:
    return sorted({layer for part in parts for layer in part.shapes})


def refuse_ranks(parts: list[Part]) -> None:
    """Factors of different ranks have no common coordinates."""
    for layer in layers(parts):
        ranks = {part.name: part.shapes[layer][2] for part in parts if layer in part.shapes}
        if len(set(ranks.values())) > 1:
            told = ", ".join(f"{name!r} {rank}" for name, rank in ranks.items())
            raise ConfigError(f"kind: 'ties_factors' needs adapters of one rank; layer {layer!r} has: {told}")


def _part(name: str, folder: Path) -> Part:
    from safetensors import safe_open

    content = weights_hash(str(folder))
    config = json.loads((folder / CONFIG).read_text())
    _refuse_unfit(name, config)
    scales, shapes, dtypes = {}, {}, {}
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        stored = set(file.keys())
        for key in sorted(stored):
            layer = key.removeprefix(PREFIX).removesuffix(DOWN).removesuffix(UP)
            down, up = f"{PREFIX}{layer}{DOWN}", f"{PREFIX}{layer}{UP}"
            if key not in (down, up) or not {down, up} <= stored:
                raise ConfigError(f"adapter {name!r}: {key!r} is not one of a layer's pair of matrices A and B")
            if key == up:
                continue
            first, second = file.get_tensor(down), file.get_tensor(up)
            if (first.ndim, second.ndim) != (2, 2):
                raise ConfigError(f"adapter {name!r}: layer {layer!r} is not linear; only linear layers are merged")
            if not (first.isfinite().all() and second.isfinite().all()):
                raise ConfigError(f"adapter {name!r}: layer {layer!r} holds weights that are not finite")
            shapes[layer] = (second.shape[0], first.shape[1], first.shape[0])
            dtypes[layer] = torch.promote_types(first.dtype, second.dtype)
            scales[layer] = _scale(config, layer, rank=first.shape[0])
    if not shapes:
        raise ConfigError(f"adapter {name!r}: its file holds no weights")
    return Part(name, folder, config, content, scales, shapes, dtypes)


def _refuse_unfit(name: str, config: dict[str, Any]) -> None:
    refused = {field: config[field] for field in MORE if config.get(field)}
    for field, accepted in (
        ("peft_type", ("LORA",)),
        ("bias", ("none", None)),
        ("init_lora_weights", (*FROM_THE_BASE, None)),
    ):
        if config.get(field) not in accepted:
            refused[field] = config.get(field)
    if refused:
        told = ", ".join(f"{field}={value!r}" for field, value in refused.items())
        raise ConfigError(f"adapter {name!r}: {told} cannot be merged; expected a plain LoRA of linear layers")


def _scale(config: dict[str, Any], layer: str, *, rank: int) -> float:
    alpha = config["lora_alpha"]
    if patterns := config.get("alpha_pattern"):
        from peft.utils.other import get_pattern_key

        alpha = patterns.get(get_pattern_key(patterns.keys(), layer), alpha)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def merged(parts: list[Part], merge: Merge, device_of: Callable[[str], torch.device | str]) -> Iterator[Merged]:
    """The merged change of every layer that any of the adapters changes, computed on the layer's device.

    A layer that an adapter leaves alone is a change of zero: in `ties` it has no sign, so it neither votes nor counts
    in the mean, and the others' change stays whole; in `linear` it counts, and halves the other of two. PEFT's way
    with factors knows nothing of it: as in `ties`.
    """
    from safetensors import safe_open

    weights = merge.shares(len(parts))
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(part.folder / WEIGHTS, framework="pt")) for part in parts]
        for layer in layers(parts):
            pairs, shares, scales, dtype = [], [], [], None
            for part, file, share in zip(parts, files, weights, strict=True):
                if layer not in part.shapes:
                    continue
                names = (f"{PREFIX}{layer}{DOWN}", f"{PREFIX}{layer}{UP}")
                pairs.append(tuple(file.get_tensor(key).to(device_of(layer), torch.float32) for key in names))
                shares.append(share)
                scales.append(part.scales[layer])
                dtype = torch.promote_types(dtype or part.dtypes[layer], part.dtypes[layer])
            assert dtype is not None
            if merge.kind == "ties_factors":
                # PEFT's weights are no shares: of two equal adapters each has 1
                given = [merge.scale * share * len(parts) * scale for share, scale in zip(shares, scales, strict=True)]
                down, up = (ties_of_peft(list(side), given, merge.density) for side in zip(*pairs, strict=True))
                yield Merged(layer, up @ down, (down, up), dtype)
                continue
            changes = [scale * (up @ down) for (down, up), scale in zip(pairs, scales, strict=True)]
            change = ties(changes, shares, merge.density) if merge.kind == "ties" else linear(changes, shares)
            yield Merged(layer, merge.scale * change, None, dtype)


def linear(changes: list[torch.Tensor], shares: list[float]) -> torch.Tensor:
    total = torch.zeros_like(changes[0])
    for change, share in zip(changes, shares, strict=True):
        total += share * change
    return total


def ties(changes: list[torch.Tensor], shares: list[float], density: float) -> torch.Tensor:
    """Trim, elect, merge (arXiv 2306.01708, section 3.2), each layer by itself.

    Shares weigh votes and mean; the paper's are equal. Where the votes balance exactly nothing is elected, and the
    change is zero (PEFT would elect plus: that depends on nothing that the adapters say).
    """
    trimmed = [trim(change, density) for change in changes]
    elected = linear(trimmed, shares).sign()
    total, counted = torch.zeros_like(elected), torch.zeros_like(elected)
    for change, share in zip(trimmed, shares, strict=True):
        agrees = change * elected > 0
        total += share * change * agrees
        counted += share * agrees
    return torch.where(counted > 0, total / counted, 0.0)


def trim(change: torch.Tensor, density: float) -> torch.Tensor:
    """Keeps the largest values, exactly that share of them and at least one; of equal ones, those that come first."""
    kept = max(1, round(density * change.numel()))
    if kept == change.numel():
        return change
    sizes = change.abs().flatten()
    least = sizes.kthvalue(sizes.numel() - kept + 1).values
    keep = sizes > least
    equal = (sizes == least).nonzero().squeeze(1)
    keep[equal[: kept - int(keep.sum())]] = True
    return change * keep.view_as(change)


def ties_of_peft(factors: list[torch.Tensor], weights: list[float], density: float) -> torch.Tensor:
    """As add_weighted_adapter(combination_type="ties") merges all A, and all B: not TIES on the change B·A."""
    from peft.utils import merge_utils

    roots = torch.tensor([math.sqrt(weight) for weight in weights], device=factors[0].device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The density 1")  # 1 is meant
        return merge_utils.ties(factors, roots, density)


def truncated(change: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest up @ down of that rank, both of one size; beyond the layer's own rank they hold zeros.

    By the eigenvectors of the smaller square, in float64, which is as exact as a float32 SVD and takes a fraction of
    its time: a projection onto the leading ones needs no division by small singular values.
    """
    wide = change.shape[0] <= change.shape[1]
    matrix = (change if wide else change.T).double()
    kept = min(rank, matrix.shape[0])
    squares, vectors = torch.linalg.eigh(matrix @ matrix.T)
    leading = vectors[:, -kept:].flip(-1)
    roots = squares[-kept:].flip(-1).clamp_min(0).sqrt().sqrt()
    inverse = torch.where(roots > 0, 1 / roots, 0.0)
    left, right = leading * roots, (matrix.T @ leading * inverse).T
    up, down = (left, right) if wide else (right.T, left.T)
    whole_down = change.new_zeros(rank, change.shape[1])
    whole_up = change.new_zeros(change.shape[0], rank)
    whole_down[:kept], whole_up[:, :kept] = down, up
    return whole_down, whole_up
