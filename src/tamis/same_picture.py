"""Which rows show one picture, by ids and by bytes."""

from __future__ import annotations

from collections.abc import Sequence


def same_picture(image_ids: Sequence[str], contents: Sequence[str] | None = None) -> list[str]:
    """For each row the name of its picture: the first, by alphabet, of all ids under which it or its bytes stand."""
    if contents is None:
        return list(image_ids)
    parents: dict[str, str] = {image_id: image_id for image_id in image_ids}

    def root(name: str) -> str:
        while parents[name] != name:
            parents[name] = name = parents[parents[name]]
        return name

    first: dict[str, str] = {}
    for image_id, content in zip(image_ids, contents, strict=True):
        one, other = root(image_id), root(first.setdefault(content, image_id))
        parents[max(one, other)] = min(one, other)
    return [root(image_id) for image_id in image_ids]
