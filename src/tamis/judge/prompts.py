"""Prompts as tensors: what the library makes of a request, what of it is common, and rows padded to one length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from transformers.decision import Question

    from tamis.judge.loading import Loaded

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt, on the CPU: most often one question, all of them where the model's template asks so."""

    ids: torch.Tensor  # (1, length)
    beside: dict[str, torch.Tensor]  # as long as ids: what kind of token each is
    seen: dict[str, torch.Tensor]  # the images
    marks: torch.Tensor  # how many tokens stand before each place that is read
    questions: list[Question]

    @property
    def length(self) -> int:
        return self.ids.shape[1]

    @property
    def seen_alike(self) -> tuple[Any, ...]:
        """Prompts for which this is equal can have their images concatenated."""
        return tuple((name, tuple(value.shape[1:])) for name, value in sorted(self.seen.items()))

    def inputs(self) -> dict[str, torch.Tensor]:
        return {"input_ids": self.ids, **self.beside, **self.seen}


def prompts_of(request: dict[str, Any], loaded: Loaded) -> list[Prompt]:
    """The request, rendered, escaped and tokenized by the library."""
    prompts = []
    for inputs, questions in loaded.config.prepare_inputs(request, loaded.processor):
        ids, marks = inputs.pop("input_ids"), inputs.pop("marks")
        beside = {name: value for name, value in inputs.items() if value.shape == ids.shape}
        seen = {name: value for name, value in inputs.items() if name not in beside}
        prompts.append(Prompt(ids, beside, seen, marks, questions))
    return prompts


def shared_length(prompts: list[Prompt], loaded: Loaded) -> tuple[int, str | None]:
    """How many first tokens these prompts of one request have in common, images and all; or 0, and why so."""
    import torch

    first = prompts[0]
    if loaded.whole is not None:
        return 0, loaded.whole
    if len(prompts) == 1:
        return 0, "one question" if len(first.questions) == 1 else "its template asks all questions in one prompt"
    if not all(alike_seen(first, other) for other in prompts[1:]):
        return 0, "questions show images of their own"
    common = min(int(prompt.marks[0]) for prompt in prompts) - 1  # the token that is read stays with each question
    for other in prompts[1:]:
        for ours, theirs in zip((first.ids, *first.beside.values()), (other.ids, *other.beside.values()), strict=True):
            apart = (ours[0, :common] != theirs[0, :common]).nonzero()
            common = int(apart[0]) if len(apart) else common
    if first.seen:
        images = torch.tensor([token for token in loaded.processor.image_token_ids if token is not None])
        if any(_last_of(prompt.ids, images) >= common for prompt in prompts):
            return 0, "images stand after the point where the prompts part"
    return common, None if common else "the prompts have no beginning in common"


def alike_seen(prompt: Prompt, other: Prompt) -> bool:
    """Whether two prompts show the same images."""
    import torch

    ours, theirs = prompt.seen, other.seen
    same = ours.keys() == theirs.keys()
    return same and all(value is theirs[name] or torch.equal(value, theirs[name]) for name, value in ours.items())


def _last_of(ids: torch.Tensor, wanted: torch.Tensor) -> int:
    """Where the last of these tokens stands; past the end if there is none: it is then not known where images stand."""
    import torch

    found = torch.isin(ids[0], wanted).nonzero()
    return int(found[-1]) if len(found) else ids.shape[1]


def padded(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows (..., 1, length) under one another, each filled up on the right with what it ends in.

    Not every model has a token for padding, and the last token of a prompt is never an image's.
    """
    import torch

    longest = max(row.shape[-1] for row in rows)
    filled = [
        torch.cat((row, row[..., -1:].expand(*row.shape[:-1], longest - row.shape[-1])), dim=-1)
        if row.shape[-1] < longest
        else row
        for row in rows
    ]
    return torch.cat(filled, dim=-2)


def visible(lengths: list[int], before: int = 0) -> torch.Tensor:
    """The attention mask of rows padded on the right, after `before` tokens that all of them see."""
    import torch

    return (torch.arange(before + max(lengths)) < before + torch.tensor(lengths)[:, None]).long()


def together(dicts: list[dict[str, torch.Tensor]], join: Callable[[list[torch.Tensor]], Any]) -> dict[str, Any]:
    return {name: join([one[name] for one in dicts]) for name in dicts[0]}


def parts(items: Iterable[Item], length: Callable[[Item], int], *, most: int, tokens: int) -> Iterator[list[Item]]:
    """Items, longest first, in parts of at most so many, and so many tokens once padded; one item always goes."""
    part: list[Item] = []
    for item in sorted(items, key=length, reverse=True):
        if part and (len(part) == most or (len(part) + 1) * length(part[0]) > tokens):
            yield part
            part = []
        part.append(item)
    if part:
        yield part
