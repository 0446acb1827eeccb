"""A small guess of the language of a text, for telling how selection changes a pool: no model, no download.

By the writing system of most of its letters, and for Latin letters by function words. Codes are those of BCP 47: `en`,
`ja`; `und-Cyrl` where a writing system is that of several languages; `unknown` where nothing decides.

What it cannot tell: short texts ("red."), names, formulas and code are `unknown`; languages that are not on the list
are `unknown` or, where they share their small words with one that is, taken for it (Norwegian for Danish, Galician for
Portuguese, Afrikaans for Dutch); Cyrillic, Arabic and Devanagari letters are told, not which of their languages; a text
in two languages is that of its larger part; Chinese is not told from Japanese without kana. Only the beginning is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from tamis.columns import texts_of

if TYPE_CHECKING:
    from datasets import Dataset

UNKNOWN = "unknown"
READ = 500  # characters from the beginning
FEWEST = 2  # different function words that decide
# The smallest words of the commonest languages in Latin letters. Words of several languages count for each of them.
FUNCTION_WORDS = {
    "en": "the of and to in is that it for was on are with as his they at be this have from or had by but not what "
    "all were we when your can there an which their if how does you",
    "de": "der die das und ist in zu den mit nicht von sie ein eine auf für dem im auch es an als war wie werden des "
    "er sich wird aus einer einen nach bei hat oder was ich",
    "fr": "le la les de des et est un une en que qui dans pour pas sur au il elle ce avec plus sont par ne se du vous "
    "cette mais nous ou je être aux son",
    "es": "el la los las de y en que es un una por con para del se no al lo como más su sus está pero este esta son "
    "muy cuando qué hay ser",
    "pt": "o a os as de e em que é um uma por com para do da dos das no na não se mais como ao são mas seu sua pelo "
    "pela você está isso ele",
    "it": "il lo la i gli le di e che è un una in per con non del della sono si da al dei delle nel come più anche ma "
    "questo questa alla ha cosa",
    "nl": "de het een en van is in op te dat die niet met voor zijn er aan ook als maar bij om dit uit hij wordt naar "
    "of deze heeft wat zij worden",
    "sv": "och att det en som är på av för med den till inte har ett om var jag från de så vid men han eller kan vad "
    "detta sig",
    "da": "og at det en som er på af for med den til ikke har et om var jeg fra de så ved men han eller kan hvad dette "
    "sig der",
    "pl": "i w na z nie się do jest to że o jak ale po za od są dla przez tym który która co może być jego tak",
    "ro": "și de la în cu pe nu este o un să din pentru care mai sunt au ce ca prin fost sau dar această acest",
    "cs": "a se v na je že to s z do o i jsou ale pro jako by po od za který která není nebo být jeho tak co",
    "tr": "ve bir bu da de için ile ne gibi daha çok olarak var en olan mi ama kadar sonra değil mı nasıl "
    "her şu veya yok hangi",
    "id": "yang dan di dari ini itu untuk dengan tidak dalam pada adalah ke akan ada juga oleh sebagai atau bisa anda "
    "apa saya mereka kami telah",
    "vi": "và là của có không trong một cho được với các những rất hay nào này người khi đã để từ trên về như đó",
}
# By the first word of a character's name in Unicode: a writing system that is practically one language's, or several's.
WRITING = {
    "GREEK": "el",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
    "THAI": "th",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "GUJARATI": "gu",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "SINHALA": "si",
    "HEBREW": "und-Hebr",
    "CYRILLIC": "und-Cyrl",
    "ARABIC": "und-Arab",
    "DEVANAGARI": "und-Deva",
    "BENGALI": "und-Beng",
    "ETHIOPIC": "und-Ethi",
}
LATIN = "LATIN"
_ROLE = re.compile(r"^(human|gpt): ", re.MULTILINE)  # who speaks, in the column `text`
_WORDS = re.compile(r"[^\W\d_]+")
_KNOWN: dict[str, tuple[str, ...]] = {}
for _language, _words in FUNCTION_WORDS.items():
    for _word in _words.split():
        _KNOWN[_word] = (*_KNOWN.get(_word, ()), _language)


def language_of(text: str | None) -> str:
    if not text:
        return UNKNOWN
    # NFC: else an accent that follows its letter would end the word.
    text = _ROLE.sub("", unicodedata.normalize("NFC", text[:READ]))
    if text.isascii():
        return _by_function_words(text)
    writing = Counter(map(_writing, filter(str.isalpha, text)))
    if not writing:
        return UNKNOWN
    if writing["HIRAGANA"] + writing["KATAKANA"] and writing["CJK"]:  # Chinese has no kana, Japanese has both
        writing["HIRAGANA"] += writing.pop("CJK")
    most = max(writing, key=lambda name: (writing[name], name))
    return _by_function_words(text) if most == LATIN else WRITING.get(most, UNKNOWN)


def languages(dataset: Dataset, column: str) -> list[str]:
    """For each row the language of a text column."""
    return [language_of(text) for text in texts_of(dataset, column)]


def _by_function_words(text: str) -> str:
    """That of which most different function words are there, if no other has as many."""
    here = [_KNOWN[word] for word in set(_WORDS.findall(text.lower())) if word in _KNOWN]
    found = Counter(language for known in here for language in known).most_common(2)
    if not found or found[0][1] < FEWEST or (len(found) > 1 and found[1][1] == found[0][1]):
        return UNKNOWN
    return found[0][0]


@lru_cache(maxsize=10_000)
def _writing(character: str) -> str:
    return unicodedata.name(character, "").split(" ")[0].removesuffix("-")
