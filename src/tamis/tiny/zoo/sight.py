"""Batches of scenes as pixels, and what is where in them: the dense truth that a vision tower learns fastest from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tamis.tiny import world
from tamis.tiny.render import coverage, render
from tamis.tiny.world import Scene

if TYPE_CHECKING:
    import torch

MEAN, STD = 0.5, 0.25  # of all the zoo's image processors
PATCH = 8
SIDE_PATCHES = world.SIDE // PATCH

# What a patch can show: the last index of each says "nothing here".
PATCH_QUESTIONS = {"shape": world.SHAPES, "colour": world.COLOURS, "pattern": world.PATTERNS}
# What the whole picture is asked.
PICTURE_QUESTIONS = {"ground": world.GROUNDS, "style": world.STYLES, "defect": world.DEFECTS, "count": ("1", "2", "3")}


def pixels(scenes: list[Scene]) -> torch.Tensor:
    """Normalised floats, scene x 3 x 64 x 64."""
    import torch

    drawn = np.stack([render(scene) for scene in scenes])
    return (torch.from_numpy(drawn).permute(0, 3, 1, 2).float().div_(255.0) - MEAN) / STD


def answers(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """Per question the index of the right value: scene x patches for PATCH_QUESTIONS, scene for PICTURE_QUESTIONS."""
    import torch

    found: dict[str, list[np.ndarray | int]] = {name: [] for name in (*PATCH_QUESTIONS, *PICTURE_QUESTIONS)}
    for scene in scenes:
        owner = owners(scene)
        for name, values in PATCH_QUESTIONS.items():
            own = np.array([values.index(getattr(thing, name)) for thing in scene.things] + [len(values)])
            found[name].append(own[owner])
        truth = {"ground": scene.ground, "style": scene.style, "defect": scene.defect, "count": str(len(scene.things))}
        for name, values in PICTURE_QUESTIONS.items():
            found[name].append(values.index(truth[name]))
    return {name: torch.from_numpy(np.stack(values)) for name, values in found.items()}


def owners(scene: Scene) -> np.ndarray:
    """Which thing covers most of each patch, patches flattened; -1 (the last entry) where none covers a quarter."""
    shares = np.stack(
        [
            coverage(thing).reshape(SIDE_PATCHES, PATCH, SIDE_PATCHES, PATCH).mean((1, 3)).reshape(-1)
            for thing in scene.things
        ]
    )
    return np.where(shares.max(0) > 0.25, shares.argmax(0), -1)
