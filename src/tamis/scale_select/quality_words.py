"""How three families of models are asked for a picture's quality: by the first token of a word that ends a sentence.

Prompts, the sentence's beginning and the words are the models' own, letter by letter: they were trained on these.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

MEAN_COLOUR = (122, 116, 104)  # CLIP's mean, as Q-Align's scorer cuts it to whole numbers


@dataclass(frozen=True)
class Convention:
    prompt: str  # behind the picture
    begun: str  # of the reply
    words: tuple[str, ...]  # worst first; what is read is each word's first token, cut as it stands here
    square: bool = False  # the picture is padded to one, by the mean colour


CONVENTIONS = {
    # For zhangzicheng/q-sit and q-sit-mini, as public scripts that carry their scorer ask (they are LLaVA-OneVision,
    # whose template puts pictures first).
    "q_sit": Convention(
        "Assume you are an image quality evaluator. \nYour rating should be chosen from the following five categories: "
        "Excellent, Good, Fair, Poor, and Bad (from high to low). \nHow would you rate the quality of this image?",
        "The quality of this image is ",
        ("Bad", "Poor", "Fair", "Good", "Excellent"),
    ),
    # Q-Align's scorer (github.com/Q-Future/Q-Align, q_align/evaluate/scorer.py). There the picture stands behind the
    # question, and here before it: it is for models that are tuned by this convention. q-future/one-align itself is of
    # a class that transformers does not have.
    "q_align": Convention(
        "How would you rate the quality of this image?",
        "The quality of the image is",
        ("bad", "poor", "fair", "good", "excellent"),
        square=True,
    ),
    # README of github.com/Q-Future/Q-ReAlign, for q-future/Q-ReAlign-Mini-0.8B, -Lite-4B and -Pro-9B (Qwen3.5, whose
    # words hold the space before them; its template's thinking is off, as in their own scorer).
    "q_realign": Convention(
        "How would you rate the quality of this image?",
        "The quality of the image is",
        (" bad", " poor", " fair", " good", " excellent"),
    ),
}


def squared(image: Image.Image) -> Image.Image:
    """The picture in the middle of a square of the mean colour."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), MEAN_COLOUR)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
