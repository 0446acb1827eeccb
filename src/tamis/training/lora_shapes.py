"""Which layers of BLIP a LoRA adapts, and by how much: the report's five configurations, in BLIP's real names.

query, key, value: the linear layers of that name in every attention of the question encoder and of the answer decoder,
self- and cross-attention. The vision tower has none: it computes all three in one layer.
out: BLIP has no such layer. What the attention's results go out through is `attention.output.dense`, and
`crossattention.output.dense`: that is taken for it.
dense: what PEFT adapts when told "dense": every linear layer called so. Those of `out`, both layers of each
feed-forward (`intermediate.dense`, `output.dense`) and the one of the decoder's head,
`cls.predictions.transform.dense`. A pooler, which would have one more, BlipForQuestionAnswering lacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tamis.config import ConfigError

if TYPE_CHECKING:
    from torch import nn

TEXT = ("text_encoder.", "text_decoder.")
ENDINGS = {  # of a layer's path
    "query": (".self.query",),
    "key": (".self.key",),
    "value": (".self.value",),
    "out": (".attention.output.dense", ".crossattention.output.dense"),
    "dense": (".dense",),
}
REPORTED = (
    "r16-query-value-out",
    "r8-query-value-dense",
    "r8-query-key-value",
    "r16-query-value-dense",
    "r32-query-value",
)


@dataclass(frozen=True)
class LoraShape:
    """Rank and targets, written r16-query-value-out."""

    r: int
    targets: tuple[str, ...]

    def __post_init__(self) -> None:
        strange = [target for target in self.targets if target not in ENDINGS]
        if strange or not self.targets or len(set(self.targets)) < len(self.targets) or self.r < 1:
            raise ConfigError(
                f"shape {str(self)!r} is not accepted; expected rRANK-TARGET-TARGET, such as r16-query-value-out, of "
                f"different targets among {', '.join(ENDINGS)}"
            )

    @classmethod
    def parse(cls, told: str) -> LoraShape:
        read = re.fullmatch(r"r(\d{1,5})((?:-[a-z]+)+)", told)
        if read is None:
            raise ConfigError(f"shape {told!r} is not accepted; expected such as r16-query-value-out")
        return cls(int(read[1]), tuple(read[2][1:].split("-")))

    def __str__(self) -> str:
        return "-".join((f"r{self.r}", *self.targets))

    def layers(self, model: nn.Module) -> list[str]:
        """Paths of the layers of a BlipForQuestionAnswering that are meant, in its order; quantised or not."""
        from torch import nn

        endings = tuple(ending for target in self.targets for ending in ENDINGS[target])
        return [
            path
            for path, layer in model.named_modules()
            if isinstance(layer, nn.Linear) and path.startswith(TEXT) and path.endswith(endings)
        ]
