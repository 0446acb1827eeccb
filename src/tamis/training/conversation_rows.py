"""Conversations to learn every reply of: which rows can be learnt from, and which cannot, with the reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tamis.images import Unscorable, decode_image

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL.Image import Image

    from tamis.run import Run

CONVERSATION = "conversation"
SPAN = 256  # rows a thread looks at in one go: what waits for a thread is held in memory
COLUMNS = ("image", CONVERSATION)
TAKES_TURNS = ("user", "assistant")
# What a processor tells of pictures by the row they stand in: rows without one would be given those of others.
BY_ROW = ("cross_attention_mask", "image_attention_mask")


def unfit(rows: Dataset, processor: Any, control: set[str], run: Run) -> dict[int, str]:
    """Positions of rows that cannot be learnt from, with the reason. Every rank looks at a part of them."""
    needed = sorted(set(BY_ROW) & set(processor.model_input_names))

    def fault(position: int) -> str | None:
        row = rows[position]
        try:
            refuse(row[CONVERSATION], control)
            if picture(row["image"]) is None and needed:
                raise Unscorable(f"image: null, and a {type(processor).__name__} ties pictures to rows")
        except Unscorable as reason:
            return str(reason)
        return None

    def faults(first: int) -> list[tuple[int, str]]:
        found = ((position, fault(position)) for position in range(first, min(first + SPAN, len(rows))))
        return [(position, reason) for position, reason in found if reason is not None]

    with ThreadPoolExecutor(thread_name_prefix="images") as pool:
        mine = [one for some in pool.map(faults, range(run.rank * SPAN, len(rows), run.ranks * SPAN)) for one in some]
    return dict(sorted(run.gathered(mine)))


def picture(cell: Any) -> Image | None:
    """None where the row has no picture; one that cannot be read raises Unscorable."""
    nothing = cell is None or (isinstance(cell, dict) and cell.get("bytes") is None and cell.get("path") is None)
    return None if nothing else decode_image(cell)


def refuse(said: Any, control: set[str]) -> None:
    if not said:
        raise Unscorable("conversation: empty")
    if any(not isinstance(one["content"], str) or not one["content"].strip() for one in said):
        raise Unscorable("conversation: an empty turn")
    if any(token in one["content"] for one in said for token in control):
        raise Unscorable("conversation: a control token")
    if any(one["role"] != TAKES_TURNS[number % 2] for number, one in enumerate(said)):
        raise Unscorable("conversation: not user and assistant in turns, the user first")
    if said[-1]["role"] != "assistant":
        raise Unscorable("conversation: does not end with a reply")
