"""TRL's SFTTrainer of a whole model that sees, gone on with where it was cut off."""

from __future__ import annotations

from typing import Any

from trl import SFTTrainer


class WholeTrainer(SFTTrainer):
    """A checkpoint's weights are read by the model's own class.

    transformers (5.23) writes weights under the names of a model's first release and knows them by others: its Trainer
    reads a checkpoint without translating them, finds none, warns, and goes on from the base.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:  # shares of weights, under the names they are known by
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        there = type(self.model).from_pretrained(resume_from_checkpoint, dtype=self.model.dtype)
        self.model.load_state_dict(there.state_dict())
