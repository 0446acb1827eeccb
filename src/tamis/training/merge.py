"""LoRA adapters of one base model merged into one change: folded into the model, or kept as an adapter.

`ties`: TIES (arXiv 2306.01708) on the change scale · B·A of each layer: each adapter's largest values, the sign that
outweighs the other, the mean of those that have it. `ties_factors`: the same on all A and all B by themselves, as
PEFT's add_weighted_adapter does, for comparison. `linear`: the mean of the changes.
The paper trims over a whole model at once; here, as in mergekit and PEFT, each layer keeps its own share.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tamis.config import ConfigError
from tamis.journal import source_code
from tamis.training.adapter import RECORD, Adapter, finished, record, unfinish

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from tamis.sources import Source
    from tamis.training.merge_layers import Part

Kind = Literal["ties", "ties_factors", "linear"]


@dataclass(frozen=True)
class Merge:
    """How. Weights tell the adapters' shares, in their order; only their ratios count, and none given are equal ones.

    `scale` is the paper's lambda: the merged change is multiplied by it.
    """

    kind: Kind = "ties"
    density: float = 0.5  # share of a change that trimming keeps; of no account in `linear`
    scale: float = 1.0
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"kind: {self.kind!r} is not accepted; expected one of: {', '.join(get_args(Kind))}")
        if not 0 < self.density <= 1:
            raise ConfigError(f"density: {self.density!r} is not accepted; expected more than 0, at most 1")
        for name, values in (("scale", (self.scale,)), ("weights", self.weights)):
            for value in values:
                if not 0 < value < math.inf:
                    raise ConfigError(f"{name}: {value!r} is not accepted; expected a finite number above 0")

    def shares(self, parts: int) -> list[float]:
        weights = self.weights or (1.0,) * parts
        if len(weights) != parts:
            raise ConfigError(f"weights: {len(weights)} are given for {parts} adapters; expected one for each, or none")
        return [weight / math.fsum(weights) for weight in weights]

    def in_key(self, parts: int) -> dict[str, Any]:
        density = None if self.kind == "linear" else self.density
        return {"kind": self.kind, "density": density, "scale": self.scale, "shares": self.shares(parts)}


WHOLE = Merge("linear")  # of one adapter: its change as it is


@dataclass(frozen=True)
class MergedAdapter:
    """The adapter, and how far it is from the merged change: |change - B·A| / |change|, Frobenius, of what is stored.

    0 where the merged change is zero.
    """

    adapter: Adapter
    relative_error: float  # of all layers together
    relative_errors: dict[str, float]  # by layer


def merge_adapters(
    parts: dict[str, Path],
    merge: Merge,
    base: Source,
    folder: Path,
    *,
    rank: int | None = None,
    device: torch.device | str = "cpu",
) -> MergedAdapter:
    """The adapters of `base` (folders by name) as one of that rank in `folder`, in PEFT's format; needs no model.

    `ties_factors` keeps the rank of its parts, and takes none. lora_alpha is the rank: B·A is the change.
    """
    from tamis.training import merge_layers, merged_files

    if (rank is None) != (merge.kind == "ties_factors"):
        expected = "1 or more" if rank is None else "None: the rank of its parts is kept"
        raise ConfigError(f"rank: {rank!r} is not accepted with kind {merge.kind!r}; expected {expected}")
    if rank is not None and rank < 1:
        raise ConfigError(f"rank: {rank!r} is not accepted; expected 1 or more")
    read = _read(parts, merge, base, folder)
    told = _told(read, merge) | {"rank": rank}
    key = _key(told, base)
    if found := finished(folder, key):
        return _found(found)
    weights, of_change, of_error = {}, {}, {}
    for layer in merge_layers.merged(read, merge, lambda _: device):
        down, up = layer.factors or merge_layers.truncated(layer.change, rank)
        down, up = (side.to(layer.dtype) for side in (down, up))
        of_change[layer.layer] = layer.change.norm().item()
        of_error[layer.layer] = (layer.change - up.float() @ down.float()).norm().item()
        weights[f"{merge_layers.PREFIX}{layer.layer}{merge_layers.DOWN}"] = down.cpu().contiguous()
        weights[f"{merge_layers.PREFIX}{layer.layer}{merge_layers.UP}"] = up.cpu().contiguous()
    rank = rank or max(part.shapes[layer][2] for part in read for layer in part.shapes)
    errors = {layer: _ratio(of_error[layer], of_change[layer]) for layer in of_change}
    error = _ratio(math.hypot(*of_error.values()), math.hypot(*of_change.values()))
    numbers = {
        "layers": len(errors),
        "rank": rank,
        "relative_error": error,
        "parameters": sum(weight.numel() for weight in weights.values()),
    }
    adapter = Adapter(folder, base.repo_id, base.revision, numbers)
    unfinish(folder)
    files = merged_files.write(read, weights, base, folder)
    record(adapter, key, files, told | {"relative_errors": errors})
    return MergedAdapter(adapter, error, errors)


def fold(
    model: torch.nn.Module, parts: dict[str, Path], merge: Merge, *, device: torch.device | str | None = None
) -> None:
    """Adds the merged change to the layers of their base model, exactly; the sum is float32, rounded once.

    Computed where each layer lies, or on `device`.
    """
    _fold(model, [(_read(parts, merge, None, None), merge)], device)


def save_folded(
    load: Callable[[], tuple[PreTrainedModel, list[Any]]],
    parts: dict[str, Path],
    merge: Merge,
    base: Source,
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device | str | None = None,
    worn: Path | None = None,
) -> Adapter:
    """The folded model whole, in `folder`: a model to load instead of the base, not onto it.

    `load` gives the base model in `dtype`, and what is to lie beside it (its processor); it is not called where this
    merge is there already. worn: an adapter that the base wore when its parts were trained; its change is folded in as
    it is, in the same sum.
    """
    from tamis.durable import sync_tree

    read = _read(parts, merge, base, folder)
    beside = _read({worn.name: worn}, WHOLE, base, folder) if worn else []
    told = _told(read, merge) | {"worn": [part.content for part in beside]}
    told |= {"dtype": str(dtype).removeprefix("torch.")}
    key = _key(told, base)
    if found := finished(folder, key):
        return found
    model, things = load()
    if model.dtype != dtype:
        raise ConfigError(f"dtype: the model was loaded as {model.dtype}; expected {dtype}")
    layers = _fold(model, [(read, merge), *([(beside, WHOLE)] if beside else [])], device)
    unfinish(folder)
    for thing in (model, *things):
        thing.save_pretrained(folder)
    sync_tree(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    adapter = Adapter(folder, base.repo_id, base.revision, {"layers": layers})
    record(adapter, key, files, told)
    return adapter


def _fold(model: torch.nn.Module, merges: list[tuple[list[Part], Merge]], device: torch.device | str | None) -> int:
    """How many layers were changed; of several merges, each by the sum of their changes."""
    import torch

    from tamis.training import merge_layers

    targets = {layer: _target(model, parts, layer) for parts, _ in merges for layer in merge_layers.layers(parts)}
    _refuse_tied(model, targets)
    where = {layer: torch.device(device) if device else target.weight.device for layer, target in targets.items()}
    with torch.no_grad():
        # In the order of their names: a layer's changes come together, and one layer's are held at a time.
        changes = [merge_layers.merged(parts, merge, where.__getitem__) for parts, merge in merges]
        ordered = heapq.merge(*changes, key=lambda one: one.layer)
        for layer, some in itertools.groupby(ordered, key=lambda one: one.layer):
            weight = targets[layer].weight
            change = sum(one.change for one in some).to(weight.device)
            weight.copy_(weight.to(torch.promote_types(weight.dtype, change.dtype)) + change)
    return len(targets)


def _target(model: torch.nn.Module, parts: list[Part], layer: str) -> torch.nn.Linear:
    import torch

    part = next(part for part in parts if layer in part.shapes)
    try:
        target = model.get_submodule(layer)
    except AttributeError:
        raise ConfigError(f"adapter {part.name!r}: a {type(model).__name__} has no layer {layer!r}") from None
    if not isinstance(target, torch.nn.Linear) or not target.weight.is_floating_point():
        raise ConfigError(
            f"adapter {part.name!r}: layer {layer!r} is a {type(target).__name__}; a change is folded into linear "
            "layers that are not quantised"
        )
    if tuple(target.weight.shape) != part.shapes[layer][:2]:
        raise ConfigError(
            f"adapter {part.name!r}: layer {layer!r} has {part.shapes[layer][:2]} outputs and inputs, the model's has "
            f"{tuple(target.weight.shape)}"
        )
    return target


def _refuse_tied(model: torch.nn.Module, targets: dict[str, torch.nn.Linear]) -> None:
    """A weight that two layers share cannot be changed in one."""
    owners: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(weight), []).append(name)
    for layer, target in targets.items():
        if len(names := owners[id(target.weight)]) > 1:
            raise ConfigError(f"layer {layer!r}: its weight is shared ({', '.join(names)}); a change cannot be folded")


def _read(parts: dict[str, Path], merge: Merge, base: Source | None, folder: Path | None) -> list[Part]:
    from tamis.training import merge_layers

    if taken := [name for name, part in parts.items() if folder and folder.resolve() == Path(part).resolve()]:
        raise ConfigError(f"folder: adapter {taken[0]!r} lies there; expected one for the merged alone")
    read = merge_layers.read(parts, base)
    merge.shares(len(read))
    if merge.kind == "ties_factors":
        merge_layers.refuse_ranks(read)
    return read


def _told(parts: list[Part], merge: Merge) -> dict[str, Any]:
    return {"merge": merge.in_key(len(parts)), "parts": {part.name: part.content for part in parts}}


def _key(told: dict[str, Any], base: Source) -> str:
    """Whatever decides the bytes. Names of parts do not; their order does, as weights go by it."""
    from tamis.training import merge_layers

    deciding = told | {
        "parts": list(told["parts"].values()),
        "base": [base.repo_id, base.revision],
        "code": [source_code(merge_adapters), source_code(merge_layers.merged)],
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def _found(adapter: Adapter) -> MergedAdapter:
    told = json.loads((adapter.path / RECORD).read_text())
    return MergedAdapter(adapter, adapter.train_metrics["relative_error"], told["relative_errors"])


def _ratio(error: float, whole: float) -> float:
    return error / whole if whole else 0.0
