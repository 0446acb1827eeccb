"""One model, or one LoRA of it, tuned on whole conversations by SFTTrainer."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from tamis.training import chat_base, trl_training, turns, whole_model
from tamis.training.conversation_batches import Conversations
from tamis.training.conversation_rows import CONVERSATION, unfit
from tamis.training.length_order import by_length
from tamis.training.trl_training import Clock, Order, arguments, control_tokens, lora, tell

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.training.adapter import Adapter


@dataclass(frozen=True)
class Lessons:
    """Rows that can be learnt from."""

    rows: Dataset
    left_out: Counter[str]
    lengths: list[int] | None  # in tokens, where they are asked for

    def __len__(self) -> int:
        return len(self.rows)


def train(order: Order) -> tuple[Adapter | None, int]:
    """What was tuned, on rank 0, and the steps that were taken here."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(order.config.base_model, revision=order.base.revision)
    turns.refuse_unfit(processor, order.base)
    lessons = learnable(order, processor)
    whole = order.config.tuning == "language_model"
    return trl_training.train(
        order,
        partial(trainer, order, lessons, processor),
        rows=len(lessons),
        left_out=lessons.left_out,
        save=whole_model.save if whole else trl_training.save_adapter,
    )


def learnable(order: Order, processor: Any) -> Lessons:
    config, run, rows = order.config, order.run, order.rows
    batches = Conversations(processor, config.max_pixels)
    faults = unfit(rows, processor, control_tokens(processor.tokenizer), run)
    kept = [position for position in range(len(rows)) if position not in faults]
    left_out = Counter(faults.values())
    lengths = None
    if config.max_length is not None or config.group_by_length:
        mine = [batches.length(rows[position]) for position in kept[run.rank :: run.ranks]]
        lengths = [0] * len(kept)
        for rank, some in enumerate(run.gathered([mine])):
            lengths[rank :: run.ranks] = some
        most = math.inf if config.max_length is None else config.max_length
        fitting = [number for number, length in enumerate(lengths) if length <= most]
        if len(fitting) < len(kept):
            left_out["conversation: longer than max_length"] = len(kept) - len(fitting)
            kept, lengths = [kept[number] for number in fitting], [lengths[number] for number in fitting]
    tell(order, left_out, len(kept))
    _tell_apart(order, batches, rows, kept)
    return Lessons(rows.select(kept), left_out, lengths)


def _tell_apart(order: Order, batches: Conversations, rows: Dataset, kept: list[int]) -> None:
    """Says so where replies cannot share a sequence: it costs a reading of all that was said before, for each."""
    if not order.run.is_main:
        return
    for position in kept:
        row = rows[position]
        replies = len(row[CONVERSATION]) // 2
        if replies > 1:
            if (sequences := len(batches.written(row))) > 1:
                order.run.say(
                    f"train: {order.name}: the chat template writes a reply back in other tokens than it was said in: "
                    f"a conversation of {replies} replies is read as {sequences} sequences"
                )
            return


def trainer(order: Order, lessons: Lessons, processor: Any, parts: int) -> Any:
    from trl import SFTConfig, SFTTrainer

    from tamis.training.whole_trainer import WholeTrainer

    config, rows = order.config, lessons.rows
    whole = config.tuning == "language_model"
    given = arguments(order, parts, whole=whole)
    if config.group_by_length:
        rows_a_step = config.train_batch_size * config.gradient_accumulation_steps
        epochs = config.num_train_epochs
        if config.max_train_steps is not None:
            epochs = math.ceil(config.max_train_steps * rows_a_step / len(rows))
        found = by_length(lessons.lengths, rows_a_step=rows_a_step, epochs=epochs, seed=order.seed)
        # One pass over all epochs' rows in this order: a step is a slice of it, on any number of ranks.
        rows = rows.select(found)
        given |= {"train_sampling_strategy": "sequential", "num_train_epochs": 1}
    args = SFTConfig(**given)  # before the model: ZeRO 3 is asked for here, and shares it out while it is loaded
    # What is tuned stays in float32 while it is computed with in bfloat16, which would round most of a step away.
    dtype = torch.float32 if whole else None
    model = chat_base.load(config, order.base, order.worn, dtype=dtype, on_device=not chat_base.shared_out())
    if whole:
        whole_model.unfreeze(model)
    return (WholeTrainer if whole else SFTTrainer)(
        model,
        args=args,
        train_dataset=rows,
        data_collator=Conversations(processor, config.max_pixels),
        processing_class=processor,
        peft_config=None if whole else lora(config, model),
        callbacks=[Clock(order)],
    )
