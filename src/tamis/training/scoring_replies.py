"""The log-probability of replies to prompts about pictures, by a model as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tamis.training.dpo_rows import padding, stock
from tamis.training.eyes import mixed
from tamis.training.shared_prefix import Asked, Folded

if TYPE_CHECKING:
    from tamis.training.dpo_rows import Batches
    from tamis.training.reference import Where


@dataclass
class RepliesScored:
    """Called with replies, those to one prompt about one picture together; tells the log-probability of each."""

    model: Any
    batches: dict[str, Batches]  # of the adapters by their names
    eyes: Any  # and cache: None where batches hold pixels
    cache: Any
    rows: int  # a forward pass

    def __call__(self, prompts: list[list[Where]]) -> list[list[float]]:
        from accelerate.utils.memory import should_reduce_batch_size

        found: list[list[float]] = []
        while len(found) < len(prompts):
            some = prompts[len(found) : len(found) + self.rows]
            try:
                found += self._known(some) if self.eyes is not None else self._shown(some)
            except RuntimeError as error:
                if self.rows == 1 or not should_reduce_batch_size(error):
                    raise
                self.rows //= 2
        return found

    def _known(self, prompts: list[list[Where]]) -> list[list[float]]:
        shares = next(iter(self.batches.values())).shares
        rows, pictures = [], []
        for replies in prompts:
            read = [self.batches[name].tokens(number) for name, number, _ in replies]
            ids = [row[f"{side}_ids"] for row, (_, _, side) in zip(read, replies, strict=True)]
            parts = [ids] if shares else [[one] for one in ids]
            rows += [Asked(read[0]["prompt_ids"], part) for part in parts]
            name, number, _ = replies[0]
            pictures += [self.batches[name].pairs.pictures[number]] * len(parts)
        folded = Folded.of(rows, padding(self.batches[name].processor)).to(self.model.device)
        seen = self.eyes.outputs(self.cache.features(pictures))
        with torch.no_grad(), mixed(self.model.device, self.model.dtype):
            outputs = folded.forward(self.model, shares=shares, mm_encoder_outputs=seen)
        sums = folded.log_probabilities(outputs, max(len(row.replies) for row in rows)).tolist()
        if shares:
            return [row[: len(replies)] for row, replies in zip(sums, prompts, strict=True)]
        left = iter(sums)
        return [[next(left)[0] for _ in replies] for replies in prompts]

    def _shown(self, prompts: list[list[Where]]) -> list[list[float]]:
        """As TRL's collator has pairs: two replies to a prompt, the last one twice where they are odd in number."""
        examples = []
        for replies in prompts:
            texts = [self.batches[name].pairs.texts(number)[side] for name, number, side in replies]
            name, number, _ = replies[0]
            batches = self.batches[name]
            example = batches.pairs.shown(number, batches.max_pixels)
            examples += [
                dict(example, chosen=texts[first], rejected=texts[min(first + 1, len(texts) - 1)])
                for first in range(0, len(texts), 2)
            ]
        batch = dict(stock(batches.processor)(examples))
        asked = batch.pop("completion_mask")
        batch["labels"] = batch["input_ids"].masked_fill(asked == 0, -100)
        batch = {name: value.to(self.model.device) for name, value in batch.items()}
        with torch.no_grad(), mixed(self.model.device, self.model.dtype):
            outputs = self.model(**batch, use_cache=False, fused_lm_head=True)
        chosen, rejected = outputs.log_probs.sum(1).chunk(2)
        left = iter(zip(chosen.tolist(), rejected.tolist(), strict=True))
        return [
            [value for _ in range(0, len(replies), 2) for value in next(left)][: len(replies)] for replies in prompts
        ]
