"""train_vlm_loras(): LoRAs of chat models that see, by TRL's SFTTrainer, on conversations about a picture each.

Adapted are the linear layers of the language model; the vision tower stays as it is. Learnt is the completion alone.
All ranks train one adapter together, one adapter after the other: train_batch_size is of all ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tamis.training import chat_lora
from tamis.training.adapter import Adapter, base_of, finished
from tamis.training.chat_lora import ChatLora

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.run import Run
    from tamis.training.trl_training import Order

COLUMNS = ("image", "prompt", "completion")


@dataclass(kw_only=True)
class VlmLora(ChatLora):
    """The settings. A recipe's flat config inherits them; its __post_init__ calls refuse_unfit_training()."""

    lora_r: Annotated[int, "rank"] = 16
    lora_dropout: Annotated[float, "share of an adapted layer's inputs that a LoRA does not see in training"] = 0.05
    train_batch_size: Annotated[int, "rows a batch, of all ranks together"] = 8
    learning_rate: Annotated[float, "of AdamW"] = 1e-4

    def in_key(self) -> dict[str, Any]:
        return self.deciding(VlmLora)


def train_vlm_loras(
    subsets: dict[str, Dataset],
    config: VlmLora,
    run: Run,
    *,
    seed: int | None = None,
    worn: Path | None = None,
) -> dict[str, Adapter]:
    """Adapters by the names of the subsets, in run.output_dir/adapters/NAME as PEFT saves them; all on every rank.

    A row: `image`; `prompt` and `completion`, lists of messages {role, content}, content a text (conversations.py
    makes them); the completion is one message. The picture stands before the first message; the prompt is what a judge
    would ask with. seed decides every draw; None: the run's. worn: the folder of an adapter of the base that it wears,
    frozen; what is learnt goes beside it.
    """
    from tamis.training.vlm_training import train, trainer

    rows = chat_lora.stored(subsets, COLUMNS, config, run)
    return each(rows, config, run, seed=run.seed if seed is None else seed, worn=worn, train=train, code=trainer)


def each(
    rows: dict[str, Dataset],
    config: VlmLora,
    run: Run,
    *,
    seed: int,
    worn: Path | None,
    train: Callable[[Order], tuple[Adapter | None, int]],
    code: Any,
) -> dict[str, Adapter]:
    """Those that are there are found, the others trained, one after the other. code: what trains, for the key."""
    from tamis.training.trl_training import Order

    base = base_of(config.base_model, config.base_revision, run)
    keys = run.from_main(chat_lora.keys(rows, config.in_key(), seed, base, worn, code) if run.is_main else None)
    adapters: dict[str, Adapter] = {}
    with run.stage("train") as entry:
        entry |= {"adapters": 0, "adapters_reused": 0, "steps": 0, "ranks": run.ranks}
        for name, some in rows.items():
            folder = run.output_dir / "adapters" / name
            # What is there is decided by rank 0: ranks that look for themselves could see different things.
            found = run.from_main(finished(folder, keys[name]) if run.is_main else None)
            entry["adapters_reused" if found else "adapters"] += 1
            if found is None:
                order = Order(name, some, keys[name], folder, base, config, run, seed, worn)
                made, steps = train(order)
                found = run.from_main(made)
                entry["steps"] += steps
            adapters[name] = found
    return adapters
