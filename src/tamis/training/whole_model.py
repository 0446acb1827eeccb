"""A language model that is tuned with all its weights, and what brings pictures to it; the eyes stay as they are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError
from tamis.durable import sync_tree

if TYPE_CHECKING:
    from tamis.training.trl_training import Order, Result

SHARD = "5GB"
# Projectors that stand inside a vision tower (Qwen, GLM and others); elsewhere they stand beside it.
PROJECTORS = ("merger", "patch_merger", "deepstack_merger_list")


def unfreeze(model: Any) -> None:
    """Lets everything be learnt but the eyes (and ears, where a model has any)."""
    if getattr(model.config, "quantization_config", None) is not None:
        raise ConfigError("base_model: its weights are quantised: they cannot be tuned; expected whole ones")
    frozen = _senses(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in frozen)


def _senses(model: Any) -> set[str]:
    towers = [model.get_encoder(modality=modality) for modality in ("image", "audio")]
    towers = [tower for tower in towers if tower is not model and tower is not model.base_model]
    if not towers:
        raise ConfigError(f"base_model: a {type(model).__name__} has no vision tower that could be told apart")
    sensing = {
        id(weight)
        for tower in towers
        for name, weight in tower.named_parameters()
        if set(PROJECTORS).isdisjoint(name.split("."))
    }
    names = {name for name, weight in model.named_parameters() if id(weight) in sensing}
    language = {id(weight) for weight in model.get_decoder().parameters()}
    others = [weight for name, weight in model.named_parameters() if name not in names and id(weight) not in language]
    head = {id(weight) for weight in model.get_output_embeddings().parameters()}
    if not any(id(weight) not in head for weight in others):
        raise ConfigError(
            f"base_model: the projector of a {type(model).__name__} could not be told apart from its vision tower"
        )
    return names


def save(order: Order, result: Result) -> list[str]:
    """A folder that from_pretrained loads, in the dtype that the base's configuration names; the names of its files.

    Configurations are the base's own: what training sets in them (no cache, TRL's tags) is none of the model's.
    """
    from transformers import AutoConfig, AutoProcessor

    base, revision, folder = order.config.base_model, order.base.revision, order.folder
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    config = AutoConfig.from_pretrained(base, revision=revision)
    model, weights = result.model, result.state
    weights = model.state_dict() if weights is None else weights
    # Weights that are one in the model are two where they were gathered, or become so below; one is written.
    weights = {name: weight for name, weight in weights.items() if name not in model.all_tied_weights_keys}
    if config.dtype is not None:
        floating = {name for name, weight in weights.items() if weight.is_floating_point()}
        weights |= {name: weights[name].to(config.dtype) for name in floating}
    model.save_pretrained(folder, state_dict=weights, max_shard_size=SHARD)
    config.save_pretrained(folder)
    AutoProcessor.from_pretrained(base, revision=revision).save_pretrained(folder)
    sync_tree(folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
