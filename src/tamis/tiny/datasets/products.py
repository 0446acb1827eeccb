"""tiny/products: a catalogue in the file formats of Amazon Berkeley Objects, and single-word questions about it."""

from __future__ import annotations

import random
import string
from pathlib import Path

from tamis.tiny.datasets import products_files, writing
from tamis.tiny.datasets.products_files import Product
from tamis.tiny.datasets.writing import Rows, Table
from tamis.tiny.products import product, questions
from tamis.tiny.questions import DIFFICULTIES
from tamis.tiny.world import SEEDS, Scene, scene

PRODUCTS = 320
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}  # of the pictures
# As in real catalogues: the remainder and the modulus of the products' numbers.
WITHOUT_IMAGE, WITHOUT_ENGLISH, WITH_ANOTHER_VIEW = (7, 53), (11, 40), (1, 6)
SAME_IMAGE = (100, 101)  # two products, one picture
TWICE = 200  # one product, listed in a second shop under the same item_id

COLUMNS = {
    "id": ("string", "the product's item_id and the difficulty"),
    "image": ("image", "the product's main picture"),
    "question": ("string", "with a single word for an answer"),
    "answer": ("string", "that word"),
    "difficulty": ("int64", f"{', '.join(map(str, DIFFICULTIES))}, as in the report on the real catalogue"),
    "product_id": ("string", "its item_id in the listings"),
    "image_id": ("string", "its main_image_id there"),
    "bullets": ("string[]", "its English bullet points, without markup"),
}
ABOUT = f"""
{PRODUCTS} products, each a drawn scene offered for sale, in two forms:

- `listings/metadata/listings_0.json.gz` to `_15`, `images/metadata/images.csv.gz` and `images/small/` are a catalogue
  in the file formats of Amazon Berkeley Objects: JSON lines, texts as lists with language tags in several locales. As
  real catalogues do, it has products without a picture, products without English text, markup in bullet points,
  missing keys, two products with one picture, and one item_id in two shops.
- The config `questions` has one row a question, for products with a picture and English bullet points. Splits are by
  picture: none stands in two. Type, material, origin and number in a pack stand in the text alone: what asks for them
  (difficulty 1, 3 and 5) cannot be answered by looking.
"""


def tables() -> dict[str, Table]:
    asked = [one for one in catalogue() if one.has_image and one.is_english]
    images = sorted({one.image_id for one in asked})
    random.Random("products-splits").shuffle(images)
    split_of, start = {}, 0.0
    for split, share in SHARES.items():
        end = start + share * len(images)
        split_of |= dict.fromkeys(images[round(start) : round(end)], split)
        start = end
    splits: dict[str, Rows] = {split: [] for split in SHARES}
    for one in asked:
        splits[split_of[one.image_id]] += _questions(one)
    return {"questions": Table(COLUMNS, splits)}


def write(folder: Path) -> None:
    title = "Products of the embedded world"
    writing.write(folder, title=title, about=ABOUT, tasks=["visual-question-answering"], tables=tables())
    made = catalogue()
    pictures = {image_id: drawn for one in made for image_id, drawn in _pictures(one).items()}
    products_files.write(folder, [*made, made[TWICE].in_another_shop()], pictures)


def catalogue() -> list[Product]:
    made: list[Product] = []
    for number in range(PRODUCTS):
        draw = random.Random(f"product-{number}")
        original = made[SAME_IMAGE[0]] if number == SAME_IMAGE[1] else None
        drawn = original.scene if original else scene(SEEDS["products"].start + number)
        told = product(drawn, draw)
        made.append(
            Product(
                number=number,
                scene=drawn,
                item_id="B0" + _letters(draw, 8, string.ascii_uppercase + string.digits),
                image_id=original.image_id if original else _letters(draw, 11),
                other_image_ids=(_letters(draw, 11),) if _is(number, WITH_ANOTHER_VIEW) else (),
                facts=told["facts"],
                title=told["title"],
                bullets=tuple(told["bullets"]),
                is_english=not _is(number, WITHOUT_ENGLISH),
                has_image=not _is(number, WITHOUT_IMAGE),
            )
        )
    return made


def _questions(one: Product) -> Rows:
    draw = random.Random(f"questions-{one.number}")
    return [
        question
        | {
            "id": f"{one.item_id}-{question['difficulty']}",
            "image": one.scene,
            "product_id": one.item_id,
            "image_id": one.image_id,
            "bullets": list(one.bullets),
        }
        for question in questions(one.facts, draw)
    ]


def _pictures(one: Product) -> dict[str, Scene]:
    """By image_id: the main one, and the same thing seen elsewhere."""
    look = {name: one.facts[name] for name in ("shape", "colour", "pattern", "size")}
    views = {
        image_id: scene(SEEDS["products"].start + PRODUCTS + one.number, **look) for image_id in one.other_image_ids
    }
    return ({one.image_id: one.scene} if one.has_image else {}) | views


def _is(number: int, at: tuple[int, int]) -> bool:
    return number % at[1] == at[0]


def _letters(draw: random.Random, count: int, among: str = string.ascii_letters + string.digits) -> str:
    return "".join(draw.choice(among) for _ in range(count))
