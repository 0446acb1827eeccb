"""A judge on this machine: any chat model of transformers that reads text, or text and images, or a decision model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import models
from tamis.config import COST_ONLY
from tamis.judge.asking import MAX_PIXELS, Ask, Request
from tamis.sources import pin
from tamis.training.adapter import weights_hash

if TYPE_CHECKING:
    from tamis.judge.loading import Loaded

QUANTIZATIONS = ("8bit", "4bit")


@dataclass(frozen=True)
class LocalJudge:
    """Settings of a judge; its model is the one large model that this process holds.

    A repo with `decision.json` is asked by its own template, labels, temperatures and LoRA (`transformers.decision`);
    any other chat model by the library's generic prompt. Probabilities of a chat model's letters are not calibrated.
    """

    model: Annotated[str, "chat or decision model on the Hub, or a folder"]
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    quantization: Annotated[str | None, "8bit or 4bit (bitsandbytes); null: none"] = None
    attn_implementation: Annotated[str, "sdpa, flash_attention_2, eager"] = "sdpa"
    max_pixels: Annotated[int, "larger images are scaled down to this"] = MAX_PIXELS
    order_seed: Annotated[int | None, "draws the order of a choice's options; null: as they are given"] = 0
    adapter: Annotated[str | None, "folder of a LoRA that it wears, as PEFT saves them; null: none"] = field(
        default=None, metadata=COST_ONLY
    )
    max_tokens: Annotated[int, "tokens a forward pass may hold, remembered ones included: the memory it takes"] = field(
        default=65536, metadata=COST_ONLY
    )
    worn: Annotated[str, "what the adapter holds: its folder trained anew is another key"] = field(
        init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.quantization not in (None, *QUANTIZATIONS):
            raise ValueError(f"quantization: {self.quantization!r}; expected one of {', '.join(QUANTIZATIONS)} or null")
        object.__setattr__(self, "worn", weights_hash(self.adapter))

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    def decide(
        self, requests: list[Request], *, batch_size: int = 16, notes: Counter[str] | None = None
    ) -> list[dict[str, dict[str, Any]]]:
        """For each request its answers by question name: a probability per option. See tamis.judge.deciding."""
        from tamis.judge.deciding import decide

        return decide(
            self._loaded(),
            requests,
            batch_size=batch_size,
            tokens=self.max_tokens,
            max_pixels=self.max_pixels,
            order_seed=self.order_seed,
            notes=notes,
        )

    def write(
        self,
        asks: list[Ask],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 16,
    ) -> list[str]:
        """For each ask the text the model writes, without what was begun. temperature 0: the likeliest, always."""
        from tamis.judge.writing import write

        return write(
            self._loaded(),
            asks,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            batch_size=batch_size,
            tokens=self.max_tokens,
            max_pixels=self.max_pixels,
        )

    def likelihoods(
        self,
        asks: list[Ask],
        endings: Sequence[Sequence[str]],
        *,
        batch_size: int = 16,
        first_tokens: bool = False,
        notes: Counter[str] | None = None,
    ) -> list[list[float]]:
        """For each ask the log-probability of each of its endings. See tamis.judge.likelihoods."""
        from tamis.judge.likelihoods import likelihoods

        return likelihoods(
            self._loaded(),
            asks,
            endings,
            batch_size=batch_size,
            tokens=self.max_tokens,
            max_pixels=self.max_pixels,
            first_tokens=first_tokens,
            notes=notes,
        )

    def _loaded(self) -> Loaded:
        from tamis.judge.loading import load

        revision = pin(self.model, "model", self.revision).revision
        options = {"quantization": self.quantization, "attn_implementation": self.attn_implementation}
        options |= {"adapter": self.adapter}
        key = ("judge", self.model, revision, self.worn, *options.values())
        return models.hold(key, lambda: load(self.model, revision, **options))
