"""What names a score is found in figures and in words; what counts things, or is of cameras, is not."""

from __future__ import annotations

import time

import pytest
from hostile import HOSTILE

from tamis.score_and_explain.named_scores import names_a_score
from tamis.tiny.critiques import TRAITS


@pytest.mark.parametrize(
    "text",
    (
        "A sharp picture, 8 out of 10.",
        "Sharp: 8/10, the light is right.",
        "8 / 10",
        "Eight out of ten, since the ground is calm.",
        "I'd call it a seven-out-of-ten picture.",
        "The picture earns 7.5/10 for its light.",
        "It is 8 out of 10 points worthy.",
        "Four out of five stars for the light.",
        "70 out of 100, I would say.",
        "This gives it a score of 3.",
        "This gives it a score of three.",
        "A score of one.",
        "The score is 7 because the light is right.",
        "Score 4, the light is wrong.",
        "It scores a solid 6, no more.",
        "I rate it 9!",
        "It is rated as a 5",
        "Its rating is only 2.",
        "The rating lies between 6 and 7.",
        "The light is flat, hence a 7.",
        "It is a 7 because of the light.",
        "It is a 7, with a calm ground.",
        "a solid 8",
        "an 8",
        "An eight.",
        "The picture deserves a ten.",
        "The picture deserves three.",
        "This merits 4 for its light.",
        "I give this picture a 3 and no more.",
        "I gave it nine out of pity.",
        "It gets 6 points.",
        "It is worth a 6-7.",
        "It would sit at 6 on the scale.",
        "On a scale of 1 to 10 it is high.",
        "A three-star rating at best.",
        "With 7 as its score it is good.",
        "Hence the 4.",
        "7. The picture is sharp.",
        "7 - the picture is sharp.",
        "10",
        "Ａ ｓｃｏｒｅ ｏｆ ３.",
        "a score\nof  3",
        "SCORE OF THREE.",
    ),
)
def test_a_score_is_found(text: str) -> None:
    assert names_a_score(text)


@pytest.mark.parametrize(
    "text",
    (
        "",
        "The picture is sharp, the light is right.",
        "Two people walk along the shore.",
        "There are 3 birds, and a dog.",
        "The picture shows two stars and a circle.",
        "A star with 5 points is on the left.",
        "The two, side by side, are balanced.",
        "One of the best uses of light.",
        "No one is in the picture.",
        "It is one.",
        "The best of the three.",
        "The eye is drawn to two trees.",
        "It gets two people into one frame.",
        "The light marks two people.",
        "Light falls on two, three leaves.",
        "Two of ten birds are in focus.",
        "Three out of 10 people look away.",
        "A 10 second exposure of a 4:3 frame.",
        "A 4:3, or a 16:9 frame.",
        "At f/8 and 1/10 s the wave is blurred.",
        "Shot at 1/10 sec, ISO 100.",
        "The sky takes 7/10 of the frame.",
        "Taken in the 1910s at 7 o'clock.",
        "A 7th of the frame is dark.",
        "A 5% crop would help.",
        "A $5 frame.",
        "A two-tone wall behind a three legged dog.",
        "Its rule of thirds is kept, in thirds and halves.",
        "A high rating is earned by its light.",
        "The score is low because two people are cut off.",
        "The score it earns shows in three birds.",
        "Graded in two tones.",
        "The scale of 2 trees against the hill.",
        "A face in 3/4 view.",
        "Half of the frame is dark, a third is bright.",
    ),
)
def test_a_number_by_itself_is_none(text: str) -> None:
    assert not names_a_score(text)


def test_remarks_of_the_embedded_world_and_hostile_texts_name_none() -> None:
    for text in (*HOSTILE, *(remark for good, bad, _ in TRAITS.values() for remark in (good, bad))):
        assert not names_a_score(text), text


def test_a_text_that_loops_is_read_at_once() -> None:
    began = time.process_time()
    for loop in ("a score of the ", "score " * 3 + "a a a ", "7 to 8 or ", "it deserves ", " : = - ", "1/", "scor"):
        names_a_score(loop * 20_000 + "two")
    assert time.process_time() - began < 10
