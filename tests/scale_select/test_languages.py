"""Languages of texts: told where letters or small words decide, unknown where they do not."""

from __future__ import annotations

import time
import unicodedata

import pytest
from datasets import Dataset

from tamis.scale_select.languages import FUNCTION_WORDS, UNKNOWN, language_of, languages

TEXTS = {
    "en": "What color is the circle in the picture? It is red, and there are two squares.",
    "de": "Welche Farbe hat der Kreis auf dem Bild? Er ist rot und steht neben einem Quadrat.",
    "fr": "Quelle est la couleur du cercle dans cette image ? Il est rouge et il y a un carré.",
    "es": "¿De qué color es el círculo en la imagen? Es rojo y está junto a un cuadrado.",
    "pt": "Qual é a cor do círculo na imagem? Ele é vermelho e está ao lado de um quadrado.",
    "it": "Di che colore è il cerchio nell'immagine? È rosso ed è vicino a un quadrato, come si vede.",
    "nl": "Welke kleur heeft de cirkel op de afbeelding? Hij is rood en staat naast een vierkant.",
    "sv": "Vilken färg har cirkeln på bilden? Den är röd och det finns en fyrkant bredvid som är blå.",
    "da": "Hvilken farve har cirklen på billedet? Den er rød, og der er en firkant ved siden af.",
    "pl": "Jakiego koloru jest koło na obrazku? Jest czerwone i stoi obok kwadratu, który jest niebieski.",
    "ro": "Ce culoare are cercul din imagine? Este roșu și este lângă un pătrat care nu este mare.",
    "cs": "Jakou barvu má kruh na obrázku? Je červený a je vedle čtverce, který není velký.",
    "tr": "Resimdeki dairenin rengi ne? Kırmızı ve yanında mavi bir kare var, çok büyük değil.",
    "id": "Apa warna lingkaran dalam gambar ini? Merah, dan di sebelahnya ada persegi yang biru.",
    "vi": "Hình tròn trong ảnh có màu gì? Nó màu đỏ và bên cạnh là một hình vuông.",
    "zh": "图片中的圆是什么颜色？是红色的。",
    "ja": "写真の円は何色ですか？赤色です。",
    "ko": "그림 속 원은 무슨 색인가요? 빨간색입니다.",
    "el": "Τι χρώμα έχει ο κύκλος στην εικόνα;",
    "th": "วงกลมในภาพมีสีอะไร",
    "und-Cyrl": "Какого цвета круг на картинке? Он красный.",
    "und-Arab": "ما لون الدائرة في الصورة؟ إنها حمراء.",
    "und-Deva": "चित्र में वृत्त का रंग क्या है? लाल।",
    "und-Hebr": "מה צבע העיגול בתמונה?",
}


@pytest.mark.parametrize("language", TEXTS)
def test_plain_sentences_are_told(language: str) -> None:
    text = TEXTS[language]
    assert language_of(text) == language
    assert language_of(text.upper()) == language or language == "tr"  # whose capital of i is another letter
    assert language_of(unicodedata.normalize("NFD", text)) == language
    question, _, answer = text.partition("? ")
    assert language_of(f"human: {question}\ngpt: {answer or question}") == language


@pytest.mark.parametrize(
    "text",
    [None, "", " \n", "red.", "x = 3", "\\frac{a}{b} = 3", "2, 5, 9", "!?…", "🔴🟦", "ﬀ", "\x00", "\ud7ff", "Berlin"]
    + ["de la", "the", "human: \ngpt: ", "ᚠᚢᚦᚨᚱᚲ", "qwertz asdf yxcv", "human: what?\ngpt: red."],
)
def test_what_nothing_decides_is_unknown(text: str | None) -> None:
    assert language_of(text) == UNKNOWN


def test_the_larger_part_decides() -> None:
    assert language_of(f"{TEXTS['zh'] * 6} it is the one") == "zh"
    assert language_of(f"The word on the sign is {TEXTS['zh'][:3]}, and it is red.") == "en"
    assert language_of("日本の写真です。" + "漢" * 40) == "ja"  # kana, though few


def test_function_words_are_words_and_each_once() -> None:
    for language, words in FUNCTION_WORDS.items():
        known = words.split()
        assert len(known) == len(set(known)) >= 25, language
        assert all(word == unicodedata.normalize("NFC", word.lower()) and word.isalpha() for word in known), language


def test_a_column_is_read_in_order_and_a_megabyte_costs_nothing() -> None:
    texts = [*TEXTS.values(), None]
    assert languages(Dataset.from_dict({"text": texts}), "text") == [*TEXTS, UNKNOWN]
    started = time.perf_counter()
    assert language_of("the red and the blue " * 500_000) == "en"
    assert time.perf_counter() - started < 0.5
