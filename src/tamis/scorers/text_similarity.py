"""How alike two texts of a row mean: the cosine of their embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from tamis import models
from tamis.scorers.clip import FAMILIES, Towers
from tamis.scorers.embedding import sentence_transformer
from tamis.scorers.relevance import as_data
from tamis.sources import Source, pin
from tamis.texts import text

if TYPE_CHECKING:
    from datasets import Features


@dataclass(frozen=True)
class TextSimilarity:
    """Column NAME_cosine (float32, -1..1; higher is better): 1 is the same meaning as the model sees it. What counts as
    alike is the model's: some give any two texts a high cosine.

    Models are any SentenceTransformer, or a CLIP or SigLIP, whose text tower reads 77 or 64 tokens.
    None where one of the texts is null or empty.
    """

    name: Annotated[str, "begins the name of its column"] = "text_similarity"
    model: Annotated[str, "SentenceTransformer, CLIP or SigLIP on the Hub, or a folder"] = (
        "sentence-transformers/all-MiniLM-L6-v2"
    )
    revision: Annotated[str | None, "branch, tag or commit of the model"] = None
    text_column: Annotated[str, "one text"] = "text"
    other_column: Annotated[str, "the other"] = "prompt"
    longest_text: Annotated[int, "characters read of a text"] = 8192
    rows_per_chunk: Annotated[int, "rows a kill can cost"] = 1024

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text_column, self.other_column)

    @property
    def columns(self) -> Features:
        from datasets import Features, Value

        return Features({f"{self.name}_cosine": Value("float32")})

    @property
    def models(self) -> tuple[tuple[str, str | None], ...]:
        return ((self.model, self.revision),)

    @property
    def bucket_by(self) -> str | None:
        return self.text_column

    def prepare(self, row: dict[str, Any]) -> dict[str, Any]:
        columns = {"one": self.text_column, "other": self.other_column}
        return {name: text(row[column], longest=self.longest_text, what=column) for name, column in columns.items()}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        source = pin(self.model, "model", self.revision)
        embed = models.hold(("text_similarity", self.model, source), lambda: self._load(source))
        places = {value: place for place, value in enumerate(dict.fromkeys([*batch["one"], *batch["other"]]))}
        vectors = embed(list(places))  # prompts repeat: each text is read once
        one, other = (vectors[[places[value] for value in batch[name]]] for name in ("one", "other"))
        return {f"{self.name}_cosine": np.clip((one * other).sum(axis=1), -1.0, 1.0).tolist()}

    def _load(self, source: Source) -> Callable[[list[str]], np.ndarray]:
        """Texts to vectors of length 1."""
        import torch
        from transformers import AutoConfig

        if AutoConfig.from_pretrained(self.model, revision=source.revision).model_type in FAMILIES:
            towers = Towers((self.model,), (source,))

            def by_clip(texts: list[str]) -> np.ndarray:
                with torch.inference_mode():
                    return towers.texts(texts).cpu().numpy()

            return by_clip
        encoder = sentence_transformer(self.model, self.revision)

        def by_sentences(texts: list[str]) -> np.ndarray:
            vectors = encoder.encode(as_data(texts, encoder), batch_size=len(texts), show_progress_bar=False)
            vectors = np.asarray(vectors, dtype=np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        return by_sentences
