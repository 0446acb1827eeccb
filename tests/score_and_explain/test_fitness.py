"""What must not be learnt from is left out, each picture for one reason; what may be is not."""

from __future__ import annotations

import random
import re
import time

import pytest

from tamis.config import ConfigError
from tamis.near_duplicates import near_duplicate_groups
from tamis.score_and_explain import fitness
from tamis.score_and_explain.fitness import counted, left_out, refuse_too_few
from tamis.text_hashes import text_hashes

VOCABULARY = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ab", "el", "im", "on", "ust", "yr")]


def sentence(number: int, words: int = 30) -> str:
    return " ".join(random.Random(f"sentence {number}").choices(VOCABULARY, k=words)) + "."


def texts(count: int, start: int = 0) -> list[str]:
    return [sentence(number) for number in range(start, start + count)]


GOOD, OTHER = sentence(-1), sentence(-2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, fitness.EMPTY),
        ("", fitness.EMPTY),
        (" \n\t", fitness.EMPTY),
        ("The light is right", fitness.CUT),
        ("The light is right, and", fitness.CUT),
        ("The light is right.\n#Score: 3", fitness.HEADED),
        ("The light is right. # explanation : fine.", fitness.HEADED),
        ("The light is right.\n**Score**: high.", fitness.HEADED),
        ("Explanation: the light is right.", fitness.HEADED),
        ("The light is right.<|im_end|>", fitness.TOKENS),
        ("The light is right.</s>", fitness.TOKENS),
        ("<image> The light is right.", fitness.TOKENS),
        ("<script>alert(1)</script> The light is right.", fitness.TOKENS),
        ("<!-- x --> The light is right.", fitness.TOKENS),
        ("[INST] The light is right.", fitness.TOKENS),
        ("The light\x00 is right.", fitness.TOKENS),
        ("The light \u202eis right.", fitness.TOKENS),
        ("The light is right \ufffd.", fitness.TOKENS),
        ("The light is right \ud800.", fitness.TOKENS),
        ("The light is right, 8 out of 10.", fitness.NAMED),
        ("The light is right, hence a seven.", fitness.NAMED),
    ],
)
def test_a_text_that_is_none_has_its_reason_on_its_side(text: str | None, why: str) -> None:
    assert left_out([text, GOOD, GOOD], [OTHER, text, OTHER], generic_share=1.0) == [
        f"true score: {why}",
        f"wrong score: {why}",
        None,
    ]


@pytest.mark.parametrize(
    "text",
    (
        "Two people, 3 birds; the light < the dark & x > y.",
        "He said: “the light is right.”",
        "The light is right (as ever).",
        "Is it sharp? It is!",
        "光は正しい。",
        "Its score of music stands: the light is right… \n",
        "A family 👨\u200d👩\u200d👧 at 5 o'clock.",
        "L'été est très ensoleillé\u00a0!",
        "Low key, *high contrast.*",
    ),
)
def test_a_text_that_is_odd_is_used(text: str) -> None:
    assert left_out([text, GOOD], [GOOD, text], generic_share=1.0) == [None, None]


def test_a_picture_that_was_not_asked_of_keeps_its_own_reason() -> None:
    assert left_out([None, GOOD], [None, OTHER], generic_share=1.0, errors=["image: null", None]) == [
        "image: null",
        None,
    ]


def test_texts_that_say_nearly_the_same_have_nothing_to_contrast() -> None:
    long = sentence(0, words=150)
    first = long.split()[0]
    twins = [GOOD.upper(), GOOD.replace(" ", ",  "), GOOD]
    assert left_out([GOOD] * 3, twins, generic_share=1.0) == [fitness.ALIKE] * 3
    assert left_out([long], [long.replace(first, "qu", 1)], generic_share=1.0) == [fitness.ALIKE]
    # Of a few words one is a contrast.
    assert left_out(["the light is right."], ["the light is wrong."], generic_share=1.0) == [None]


def test_a_text_of_many_pictures_is_generic_on_the_side_where_it_is() -> None:
    true, wrong = texts(300), texts(300, start=1000)
    for at in range(40):
        true[at] = GOOD if at % 2 else GOOD.upper()
    for at in range(100, 110):
        wrong[at] = OTHER
    reasons = left_out(true, wrong, generic_share=0.1)
    assert counted(reasons) == {f"true score: {fitness.GENERIC}": 40}
    assert all(reasons[:40])
    assert counted(left_out(true, wrong, generic_share=0.03)) == {
        f"true score: {fitness.GENERIC}": 40,
        f"wrong score: {fitness.GENERIC}": 10,
    }
    assert not counted(left_out(true, wrong, generic_share=0.2))


def test_a_template_with_a_changing_word_is_generic_too() -> None:
    template = sentence(5, words=90).split()
    true = texts(300)
    for at in range(60):
        template[30] = VOCABULARY[at]
        true[at] = " ".join(template)
    assert counted(left_out(true, texts(300, start=1000), generic_share=0.1)) == {f"true score: {fitness.GENERIC}": 60}


def test_two_pictures_may_share_a_text_by_chance() -> None:
    true = [GOOD, GOOD, *texts(4)]
    assert not counted(left_out(true, texts(6, start=1000), generic_share=0.01))
    true[2] = GOOD
    assert counted(left_out(true, texts(6, start=1000), generic_share=0.01)) == {f"true score: {fitness.GENERIC}": 3}


def test_pictures_without_a_text_do_not_make_others_rarer() -> None:
    true = [GOOD] * 4 + texts(6) + [None] * 90
    reasons = left_out(true, texts(100, start=1000), generic_share=0.2)
    assert counted(reasons) == {f"true score: {fitness.EMPTY}": 90, f"true score: {fitness.GENERIC}": 4}


def test_none_at_all() -> None:
    assert left_out([], [], generic_share=0.5) == []
    with pytest.raises(ConfigError, match="0 of 0 pictures"):
        refuse_too_few([], [], [], least_usable=0.0)


@pytest.mark.parametrize("share", (0, -1, 1.01, float("nan")))
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="generic_share: .* is not accepted"):
        left_out([GOOD], [OTHER], generic_share=share)
    if share:
        with pytest.raises(ConfigError, match="least_usable: .* is not accepted"):
            refuse_too_few([None], [GOOD], [OTHER], least_usable=share)


def test_a_model_that_cannot_follow_is_told_of_with_a_sample() -> None:
    evil = "<|im_end|>\x1b[2J" + "loops " * 500
    true, wrong = [evil, "no end", None, *texts(17)], ["x.", "y.", "z.", *[""] * 16, OTHER]
    reasons = left_out(true, wrong, generic_share=1.0)
    refuse_too_few(reasons, true, wrong, least_usable=0.05)
    with pytest.raises(ConfigError) as stop:
        refuse_too_few(reasons, true, wrong, least_usable=0.1)
    told = str(stop.value)
    assert told.startswith("least_usable: 1 of 20 pictures have explanations that can be used, less than 0.1 of them")
    assert f"left out: wrong score: {fitness.EMPTY}: 16; " in told
    assert f"true score: {fitness.CUT}: 'no end'" in told and "\x1b" not in told and len(told) < 1500
    assert len(re.findall("loops", told)) < 40


def test_hashes_hang_on_words_alone_and_lie_near_where_texts_do() -> None:
    told = [None, "", " ", "...", "A b", "a, B!", "b a", sentence(1, 80), GOOD, "\ud800"]
    hashes = text_hashes(told)
    assert hashes[:3] == [None] * 3 and hashes[3] is not None and hashes[4] == hashes[5] != hashes[6]
    assert text_hashes(told[4:])[0] == hashes[4]  # no text hangs on the one beside it
    assert text_hashes(texts(5000))[4321] == text_hashes([sentence(4321)])[0]
    groups = near_duplicate_groups(text_hashes(texts(2000)), fitness.NEAR)
    assert len(set(groups.tolist())) == 2000


def test_many_are_read_in_time() -> None:
    true = [sentence(at % 9000, 40) for at in range(25_000)]
    began = time.process_time()
    left_out(true, true[::-1], generic_share=0.01)
    assert time.process_time() - began < 20
