"""The UNet and text encoder of tiny/sd: single things from captions; two classes are rare on purpose."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.tiny import captions, world
from tamis.tiny.zoo import sight
from tamis.tiny.zoo.clip import TEXT, text_config

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import CLIPTokenizer

SCENES = 24_000  # drawn and encoded once
RARE = 4  # of so many scenes with an under-trained shape one is kept
CHANNELS = 4


def scheduler() -> Any:
    """Predicts velocity; the last step is pure noise, so that plain dark and light grounds can be drawn."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,  # unused with trailing, but asked for by the pipeline
        clip_sample=False,
        set_alpha_to_one=True,
    )


class DiffusionLesson:
    name = "sd"
    steps = 9000
    learning_rate = 1.2e-3
    average = 0.999
    pictures = 32
    blank = 0.1  # share of captions left out, for guidance

    def __init__(self, tokenizer: CLIPTokenizer, folder: Path, autoencoder: Any, clip: Any | None) -> None:
        """`autoencoder` is trained; `clip`, where there is one, lends its text tower to begin with."""
        self.tokenizer, self.folder, self.autoencoder, self.clip = tokenizer, folder, autoencoder, clip
        self.noising = scheduler()
        self.scenes = training_scenes(SCENES)

    def model(self) -> nn.Module:
        import torch
        from diffusers import UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=world.SIDE // 4,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=(64, 96, 96),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=TEXT["hidden_size"],
            attention_head_dim=4,  # diffusers takes this for the number of heads
            norm_num_groups=16,
        ).to(memory_format=torch.channels_last)
        text = CLIPTextModel(CLIPTextConfig(**text_config(self.tokenizer)))
        if self.clip is not None:
            text.load_state_dict(self.clip.text_model.state_dict())
        return torch.nn.ModuleDict({"unet": unet, "text": text})

    def latents(self) -> torch.Tensor:
        """The scenes' latents, scaled to unit variance; encoded once and kept in the folder, named by what they are."""
        import torch

        digest = hashlib.sha256(repr(self.scenes).encode())
        for values in self.autoencoder.state_dict().values():
            digest.update(values.cpu().numpy().tobytes())
        path = self.folder / f"latents-{digest.hexdigest()[:16]}.pt"
        if not path.exists():
            device = next(self.autoencoder.parameters()).device
            encoded = []
            with torch.inference_mode():
                for start in range(0, SCENES, 64):
                    pixels = autoencoder_pixels(self.scenes[start : start + 64]).to(device)
                    encoded.append(self.autoencoder.encode(pixels).latent_dist.mean.cpu())
            self.folder.mkdir(parents=True, exist_ok=True)
            torch.save(torch.cat(encoded), path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        return torch.load(path, weights_only=True) * self.autoencoder.config.scaling_factor

    def batch(self, step: int) -> dict[str, Any]:
        if not hasattr(self, "_latents"):
            self._latents = self.latents()
        draw = random.Random(f"sd-{step}")
        chosen = [draw.randrange(SCENES) for _ in range(self.pictures)]
        texts = ["" if draw.random() < self.blank else captioned(self.scenes[index], draw) for index in chosen]
        tokens = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        return {"latents": self._latents[chosen], "input_ids": tokens["input_ids"]}

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        import torch

        latents = batch["latents"]
        noise = torch.randn_like(latents)
        times = torch.randint(0, self.noising.config.num_train_timesteps, (len(latents),), device=latents.device)
        noisy = self.noising.add_noise(latents, noise, times).contiguous(memory_format=torch.channels_last)
        wanted = self.noising.get_velocity(latents, noise, times)
        states = model["text"](batch["input_ids"]).last_hidden_state
        found = model["unet"](noisy, times, states, return_dict=False)[0]
        loss = (found - wanted).square().mean()
        return loss, {}


def latent_spread(autoencoder: Any) -> float:
    """Standard deviation of the latents: the pipeline scales by its inverse."""
    import torch

    device = next(autoencoder.parameters()).device
    pixels = autoencoder_pixels(training_scenes(256)).to(device)
    return torch.cat([autoencoder.encode(part).latent_dist.mean for part in pixels.split(64)]).std().item()


def autoencoder_pixels(scenes: list[world.Scene]) -> torch.Tensor:
    """As the autoencoder takes them: -1..1."""
    return sight.pixels(scenes) * (sight.STD / 0.5)


def training_scenes(count: int) -> list[world.Scene]:
    """Single things without defects; the under-trained classes are rare."""
    made: list[world.Scene] = []
    seed = world.SEEDS["train"].start + 2_000_000
    while len(made) < count:
        scene = world.scene(seed)
        seed += 1
        if scene.thing.shape not in world.UNDER_TRAINED or seed % RARE == 0:
            made.append(scene)
    return made


def captioned(scene: world.Scene, draw: random.Random) -> str:
    choice = draw.random()
    if choice < 0.35:
        return captions.caption(scene)
    return captions.brief(scene) if choice < 0.55 else captions.varied(scene, draw)
