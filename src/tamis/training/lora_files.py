"""An adapter's weights as files: the format of diffusers and PEFT, and the one of kohya's trainer and ComfyUI."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis.durable import rename_durably

if TYPE_CHECKING:
    from tamis.training.diffusion_models import DiffusionModel
    from tamis.training.stacked_lora import LoraStack, Target

DIFFUSERS, KOHYA = "pytorch_lora_weights.safetensors", "kohya.safetensors"


def save(stack: LoraStack, adapter: int, model: DiffusionModel, folder: Path, about: dict[str, str]) -> list[str]:
    """Writes both, and returns their names. `about` goes into the head of kohya's, in its own words."""
    matrices = [
        (target, _as_layer(down, target).cpu().contiguous(), _as_layer(up, target).cpu().contiguous())
        for target, down, up in stack.matrices(adapter)
    ]
    _save_diffusers(matrices, stack, model, folder)
    _save_kohya(matrices, stack, model, folder, about)
    return [DIFFUSERS, KOHYA]


def _as_layer(matrix: torch.Tensor, target: Target) -> torch.Tensor:
    """A convolution's matrices are kernels of one pixel."""
    return matrix[:, :, None, None] if target.layer.weight.ndim == 4 else matrix


def _save_diffusers(
    matrices: list[tuple[Target, torch.Tensor, torch.Tensor]], stack: LoraStack, model: DiffusionModel, folder: Path
) -> None:
    """With its config in the head: without it a loader takes alpha to be the rank, and the adapter for stronger."""
    from peft import LoraConfig

    given: dict[str, Any] = {}
    for component in dict.fromkeys(target.component for target, _, _ in matrices):
        layers: dict[str, torch.Tensor] = {}
        paths = []
        for target, down, up in matrices:
            if target.component == component:
                layers |= {f"{target.path}.lora_A.weight": down, f"{target.path}.lora_B.weight": up}
                paths.append(target.path)
        config = LoraConfig(r=stack.rank, lora_alpha=stack.scale * stack.rank, target_modules=paths)
        about = config.to_dict()
        about["target_modules"] = sorted(about["target_modules"])  # a set: another order in every process
        given |= {f"{component}_lora_layers": layers, f"{component}_lora_adapter_metadata": about}
    partial = f".{DIFFUSERS.removesuffix('.safetensors')}.partial.safetensors"
    type(model.pipeline).save_lora_weights(folder, weight_name=partial, **given)
    _steady(folder / partial)
    rename_durably(folder / partial, folder / DIFFUSERS)


def _save_kohya(
    matrices: list[tuple[Target, torch.Tensor, torch.Tensor]],
    stack: LoraStack,
    model: DiffusionModel,
    folder: Path,
    about: dict[str, str],
) -> None:
    from safetensors.torch import save_file

    several = len(model.family.text_encoders) > 1
    prefixes = {"unet": "lora_unet"}
    for number, component in enumerate(model.family.text_encoders, start=1):
        prefixes[component] = f"lora_te{number}" if several else "lora_te"
    tensors: dict[str, torch.Tensor] = {}
    for target, down, up in matrices:
        path = target.path
        if target.component != "unet" and not path.startswith("text_model."):  # as it was called when kohya's began
            path = f"text_model.{path}"
        name = f"{prefixes[target.component]}_{path.replace('.', '_')}"
        tensors |= {
            f"{name}.lora_down.weight": down,
            f"{name}.lora_up.weight": up,
            f"{name}.alpha": torch.tensor(stack.scale * stack.rank),
        }
    partial = folder / f".{KOHYA}.partial"
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    save_file(tensors, partial, metadata={"ss_network_module": "networks.lora", **about})
    _steady(partial)
    rename_durably(partial, folder / KOHYA)


def _steady(path: Path) -> None:
    """Brings the head's metadata, which safetensors writes in an order of chance, into one: the same adapter is then
    the same file in every process, and what was drawn with it is found again."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    told = json.dumps(head, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)  # tensors begin where they can be mapped
    path.write_bytes(len(told).to_bytes(8, "little") + told + content[8 + length :])
