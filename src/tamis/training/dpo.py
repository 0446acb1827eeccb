"""train_dpo_loras(): LoRAs of chat models that see, by TRL's DPO trainer, on pairs of replies about a picture each.

Adapted are the linear layers of the language model; what the vision tower sees stays the same, so that it looks at each
picture once for all adapters, epochs and later calls, as far as the disk that is given to it goes. The reference is the
base itself, its log-probabilities computed once for all adapters of a call. All ranks train one adapter together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tamis.config import ConfigError
from tamis.training import chat_lora
from tamis.training.adapter import Adapter, base_of, finished
from tamis.training.chat_lora import ChatLora

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run

TEXTS = ("prompt", "chosen", "rejected")
COLUMNS = ("image", *TEXTS)


@dataclass(kw_only=True)
class DpoLora(ChatLora):
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    bounds = (*ChatLora.bounds, ("beta", 1e-9), ("features_gb", 0))

    lora_r: Annotated[int, "rank"] = 32
    # TRL's DPO turns all dropout off, so that a step without learning is the reference's; above 0 it is left on.
    lora_dropout: Annotated[float, "share of an adapted layer's inputs that a LoRA does not see in training"] = 0.0
    beta: Annotated[float, "of DPO: how much it costs to leave the reference"] = 0.1
    train_batch_size: Annotated[int, "pairs a batch, of all ranks together"] = 8
    learning_rate: Annotated[float, "of AdamW"] = 1e-5
    load_in_4bit: Annotated[bool, "the language model in 4 bits (nf4), for cards that do not hold it whole"] = False
    features_gb: Annotated[
        float, "disk that features of frozen vision towers may take; beyond it pictures are encoded again; 0: none"
    ] = 20.0

    def in_key(self) -> dict[str, Any]:
        return self.deciding(DpoLora)


def train_dpo_loras(
    subsets: dict[str, Dataset],
    config: DpoLora,
    run: Run,
    *,
    features: Path | None = None,
    seed: int | None = None,
    worn: Path | None = None,
) -> dict[str, Adapter]:
    """Adapters by the names of the subsets, in run.output_dir/adapters/NAME as PEFT saves them; all on every rank.

    A row: `image`; `prompt`, `chosen` and `rejected`, lists of messages {role, content}, content a text; a reply is one
    message. The picture stands before the first message; the prompt is what a judge would ask with. features: the
    folder of what vision towers see, run.output_dir/features where none is given; calls that share it, of models with
    the same vision tower, look at a picture once. seed decides every draw; None: the run's. worn: the folder of an
    adapter of the base that it wears, frozen, in training and as the reference; what is learnt goes beside it.
    """
    from tamis.training.dpo_training import Asked, train_all

    rows = chat_lora.stored(subsets, COLUMNS, config, run)
    if config.load_in_4bit:
        _refuse_without_bitsandbytes()
    base = base_of(config.base_model, config.base_revision, run)
    seed = run.seed if seed is None else seed
    keys = run.from_main(chat_lora.keys(rows, config.in_key(), seed, base, worn, Asked) if run.is_main else None)
    folders = {name: run.output_dir / "adapters" / name for name in subsets}
    with run.stage("train") as entry:
        # What is there is decided by rank 0: ranks that look for themselves could see different things.
        found = {name: finished(folders[name], keys[name]) for name in subsets} if run.is_main else None
        adapters = {name: adapter for name, adapter in run.from_main(found).items() if adapter is not None}
        entry |= {"adapters": len(subsets) - len(adapters), "adapters_reused": len(adapters), "steps": 0}
        entry["ranks"] = run.ranks
        unfinished = {name: some for name, some in rows.items() if name not in adapters}
        if unfinished:
            features = features or run.output_dir / "features"
            asked = Asked(unfinished, keys, folders, base, config, run, seed, features, worn)
            trained, figures = train_all(asked)
            adapters |= trained
            entry |= figures
    return {name: adapters[name] for name in subsets}


def _refuse_without_bitsandbytes() -> None:
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is None:
        raise ConfigError("load_in_4bit: needs bitsandbytes, which is not installed")
