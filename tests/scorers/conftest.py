"""Small random models of the real classes, built offline, and the pictures that datasets really hold."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from small import clip_tokenizer, stirred, word_tokenizer


@pytest.fixture(autouse=True)
def _no_model_held(no_model_held): ...


@pytest.fixture(scope="session", name="encoded")
def encoded_fixture() -> Callable[..., bytes]:
    return encoded


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(seed: int, size: int = 96) -> Image.Image:
    """A few discs on a plain ground."""
    numbers = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size), tuple(numbers.integers(60, 200, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = numbers.integers(0, size * 2 // 3, 2).tolist()
        width = int(numbers.integers(size // 6, size // 3))
        draw.ellipse([x, y, x + width, y + width], fill=tuple(numbers.integers(0, 255, 3).tolist()))
    return image


@pytest.fixture(scope="session")
def scenes() -> list[Image.Image]:
    return [scene(seed) for seed in range(8)]


@pytest.fixture(scope="session")
def odd_images() -> dict[str, tuple[bytes | None, str | None]]:
    """What datasets hold: bytes, and the reason why it has no score, or None where it must have one."""
    picture = scene(1)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    grey16 = Image.fromarray(np.asarray(picture.convert("L"), dtype=np.uint16) * 257)
    # A PNG that claims 20,000 x 20,000 pixels: refused before it is decoded.
    bomb = _png_header(20_000, 20_000)
    return {
        "plain": (encoded(picture), None),
        "cmyk": (encoded(picture.convert("CMYK"), "JPEG"), None),
        "palette": (encoded(picture.quantize(16)), None),
        "palette with transparency": (encoded(picture.quantize(16), transparency=0), None),
        "16 bit": (encoded(grey16), None),
        "alpha": (encoded(picture.convert("RGBA")), None),
        "animated": (encoded(picture, "GIF", save_all=True, append_images=[scene(2)]), None),
        "rotated by EXIF": (encoded(picture, "JPEG", exif=rotated), None),
        "one bit": (encoded(picture.convert("1")), None),
        "truncated": (encoded(picture.resize((300, 300)), "JPEG")[:2000], "image: truncated or corrupt"),
        "zero bytes": (b"", "image: zero bytes"),
        "not an image": (b"<html>404</html>", "image: not an image"),
        "huge": (bomb, "image: more than 100 megapixels"),
        "null": (None, "image: null"),
    }


def _png_header(width: int, height: int) -> bytes:
    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"\0" * 64)) + part(b"IEND", b"")


ODD_TEXTS: dict[str, tuple[str | None, str | None]] = {
    "null": (None, "text: null"),
    "empty": ("", "text: empty"),
    "spaces": (" \t\n ", "text: empty"),
    "a megabyte": ("a red circle " * 80_000, None),
    "a megabyte without a space": ("a" * 1_000_000, None),
    "right to left": ("עיגול אדום على خلفية خضراء", None),
    "emoji and zero width": ("👩‍👩‍👧 \u200f\u202e red", None),
}


@pytest.fixture(scope="session")
def odd_texts() -> dict[str, tuple[str | None, str | None]]:
    return ODD_TEXTS


@pytest.fixture(scope="session")
def dataset_of() -> Callable[..., object]:
    """A dataset as read_rows gives it: images as stored, texts, row ids."""
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    def build(images: list[bytes | None] | None = None, **texts: list[str | None]):
        rows = len(images if images is not None else next(iter(texts.values())))
        columns = {"row_id": [f"train-{row}" for row in range(rows)]} | texts
        features = {"row_id": Value("string")} | {column: Value("string") for column in texts}
        if images is not None:
            columns["image"] = [None if content is None else {"bytes": content, "path": None} for content in images]
            features["image"] = ImageFeature(decode=False)
        return Dataset.from_dict(columns, features=Features(features))

    return build


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> Path:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config=small | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | special,
        vision_config=small | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    folder = tmp_path_factory.mktemp("clip")
    stirred(CLIPModel(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory) -> Path:
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    torch.manual_seed(1)
    tokenizer = word_tokenizer()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    config = SiglipConfig(
        text_config=small | {"vocab_size": len(tokenizer), "max_position_embeddings": 16, "pad_token_id": 0} | special,
        vision_config=small | {"image_size": 32, "patch_size": 8},
    )
    folder = tmp_path_factory.mktemp("siglip")
    stirred(SiglipModel(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_reranker_folder(tmp_path_factory) -> Path:
    """A BERT CrossEncoder: one number for a pair of texts."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(2)
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 64
    config = _small_bert(len(tokenizer))
    config.num_labels = 1
    folder = tmp_path_factory.mktemp("text_reranker")
    stirred(BertForSequenceClassification(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def embedder_folder(tmp_path_factory) -> Path:
    """A BERT SentenceTransformer with mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertModel

    torch.manual_seed(3)
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 64
    backbone = tmp_path_factory.mktemp("bert")
    stirred(BertModel(_small_bert(len(tokenizer)))).save_pretrained(backbone)
    tokenizer.save_pretrained(backbone)
    transformer = Transformer(str(backbone))
    folder = tmp_path_factory.mktemp("embedder")
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def image_embedder_folder(tmp_path_factory, clip_folder) -> Path:
    """The small CLIP as a SentenceTransformer: it embeds a text or an image."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPProcessor

    whole = tmp_path_factory.mktemp("whole_clip")
    for file in clip_folder.iterdir():
        (whole / file.name).write_bytes(file.read_bytes())
    CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(clip_folder), AutoTokenizer.from_pretrained(clip_folder)
    ).save_pretrained(whole)
    folder = tmp_path_factory.mktemp("image_embedder")
    SentenceTransformer(modules=[Transformer(str(whole))], device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def image_reranker_folder(tmp_path_factory) -> Path:
    """A CrossEncoder as Qwen3-VL-Reranker is one (a chat VLM, logit of yes minus logit of no), on Idefics3: its
    processor does without torchvision."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )

    torch.manual_seed(4)
    special = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<|im_start|>")
    tokenizer = word_tokenizer(special)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Idefics3Config(
        text_config=small
        | {
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 2,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        },
        vision_config=small | {"image_size": 32, "patch_size": 8},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    sizes = {"size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 32}, "do_image_splitting": False}
    template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}: "
        "{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}<end_of_utterance>{% endfor %}"
    )
    backbone = tmp_path_factory.mktemp("idefics3")
    stirred(Idefics3ForConditionalGeneration(config)).save_pretrained(backbone)
    Idefics3Processor(
        Idefics3ImageProcessorPil(**sizes), tokenizer, image_seq_len=4, chat_template=template
    ).save_pretrained(backbone)
    transformer = Transformer(str(backbone), transformer_task="any-to-any")
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    folder = tmp_path_factory.mktemp("image_reranker")
    CrossEncoder(modules=[transformer, LogitScore(yes, no)], device="cpu").save_pretrained(str(folder))
    return folder


def _small_bert(vocabulary: int):
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
