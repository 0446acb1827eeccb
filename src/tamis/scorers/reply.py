"""What a chat model replies to a question about a picture, in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tamis import judge as judges
from tamis.images import decode_image
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class Reply:
    """Column NAME_text (string): the likeliest reply, asked as in training on conversations: the picture, then the
    question, and nothing else. It is no score, and nobody has judged it.

    None where question or image cannot be read, or nothing was written.
    """

    judge: Annotated[dict[str, Any], "{backend: transformers or api, model: ..., its settings}"]
    name: Annotated[str, "begins the name of its column"] = "reply"
    image_column: Annotated[str, "the image"] = "image"
    question_column: Annotated[str, "what is asked"] = "question"
    max_new_tokens: Annotated[int, "tokens a reply may take"] = 64
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "judge", judges.build(self.judge, f"{self.name}: judge"))
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: {self.max_new_tokens} is not accepted; expected 1 or more")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.image_column, self.question_column)

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
        asked = text(row[self.question_column], longest=4000, what=self.question_column)
        return {"asked": asked, "image": decode_image(row[self.image_column])}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        told = zip(batch["asked"], batch["image"], strict=True)
        asks = [judges.Ask(asked, (image,)) for asked, image in told]
        said = [
            reply.strip() for reply in self.judge.write(asks, max_new_tokens=self.max_new_tokens, batch_size=len(asks))
        ]
        return {
            f"{self.name}_text": [reply or None for reply in said],
            f"{self.name}_error": [None if reply else "nothing was written" for reply in said],
        }
