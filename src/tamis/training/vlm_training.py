"""One LoRA of a chat model that sees, by SFTTrainer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tamis.images import Unscorable, decode_image, fitted
from tamis.training import chat_base, trl_training, turns
from tamis.training.trl_training import Clock, Order, arguments, control_tokens, lora, refuse, tell

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.training.adapter import Adapter


def train(order: Order) -> tuple[Adapter | None, int]:
    """The adapter, on rank 0, and the steps that were taken here."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(order.config.base_model, revision=order.base.revision)
    turns.refuse_unfit(processor, order.base)
    rows, left_out = _learnable(order, processor)
    return trl_training.train(
        order, lambda parts: trainer(order, rows, processor, parts), rows=len(rows), left_out=left_out
    )


def _learnable(order: Order, processor: Any) -> tuple[Dataset, Counter[str]]:
    """Rows with a picture, and with a conversation that writes no control tokens; the conversation as texts."""
    control = control_tokens(processor.tokenizer)
    kept, left_out = [], Counter()
    for position, row in enumerate(order.rows):
        try:
            decode_image(row["image"])
            refuse(row, ("prompt", "completion"), control)
            kept.append(position)
        except Unscorable as reason:
            left_out[str(reason)] += 1
    tell(order, left_out, len(kept))
    most = order.config.max_pixels

    def shown(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        images = [fitted(decode_image(image), most) for image in batch["image"]]
        rows = list(zip(batch["prompt"], batch["completion"], images, strict=True))
        return {
            "image": images,
            "prompt": [turns.prompt(processor, asked, image) for asked, _, image in rows],
            "completion": [turns.reply(processor, asked, said, image) for asked, said, image in rows],
        }

    return order.rows.select(kept).with_transform(shown), left_out


def trainer(order: Order, rows: Dataset, processor: Any, parts: int) -> Any:
    from trl import SFTConfig, SFTTrainer

    # Before the model: ZeRO 3 is asked for here, and shares it out while it is loaded.
    args = SFTConfig(**arguments(order, parts), completion_only_loss=True)
    model = chat_base.load(order.config, order.base, order.worn, on_device=not chat_base.shared_out())
    return SFTTrainer(
        model,
        args=args,
        train_dataset=rows,
        processing_class=processor,
        peft_config=lora(order.config, model),
        callbacks=[Clock(order)],
    )
