"""What a judge says an image shows, in a sentence: to be compared with the text that the image was made for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.prompts import render

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Caption:
    """Column NAME_text (string): the caption, on one line. It is no score; `text_similarity` compares it with another.

    None where the image cannot be read, or nothing was written.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "caption"
    image_column: Annotated[str, "the image"] = "image"
    max_new_tokens: Annotated[int, "tokens a caption may take"] = 96
    wording: Annotated[str, "full, or short for models of a few million parameters"] = "full"
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64
    prompt: Annotated[str, "the wording's own text: an edited one is another key"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        object.__setattr__(self, "prompt", render("self_reward/caption", wording=self.wording))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column,)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_text": Value("string")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return self.judge.models

    @property
    def bucket_by(self) -> str | None:
        return None

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"image": decode_image(row[self.image_column])}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        asks = [judges.Ask(self.prompt, (image,)) for image in batch["image"]]
        replies = self.judge.write(asks, max_new_tokens=self.max_new_tokens, batch_size=len(asks))
        told = [" ".join(reply.split()) for reply in replies]
        return {
            f"{self.name}_text": [caption or None for caption in told],
            f"{self.name}_error": [None if caption else "nothing was written" for caption in told],
        }
