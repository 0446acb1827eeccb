"""Whether an English text names a score: "8 out of 10", "a score of three", "it deserves a 7". Pure text.

A number by itself is none: two people, 3 birds, f/8, 1/10 s, 4:3. So most forms are taken only where no noun follows
the number. What is missed costs little, and what is wrongly found costs a row.
"""

from __future__ import annotations

import re
import unicodedata

_WORDS = "two|three|four|five|six|seven|eight|nine|ten"
_DIGITS = r"(?<![\w.,:/#$€£-])(?:10|\d)(?:[.,]\d)?(?: ?(?:-|–|to|or) ?(?:10|\d))?(?![\w%°]|[.,:/×-]\d)"
_ANY = rf"(?:{_DIGITS}|\b(?:one|{_WORDS})\b)"
# What may stand behind a number that is a score; behind a word, which counts things more often, less may.
_REASON = "because|since|out|overall|for|points?|stars?|marks?|given|due|owing|thanks"
_SAID = rf"(?= ?(?:$|[.!?;)\]\"'”’]| [-–—]|(?:{_REASON})\b))"
_SAID_IN_DIGITS = (
    rf"(?= ?(?:$|[.!?;:,)\]\"'”’]| ?[-–—]|"
    rf"(?:{_REASON}|as|and|but|with|which|that|is|on|rather|here|if|though|although|however|while|so|not|at)\b))"
)
_SCORE = f"(?:{_DIGITS}{_SAID_IN_DIGITS}|\\b(?:{_WORDS})\\b{_SAID})"
_FILLED = (
    "it|its|this|the|that|picture|image|photo|photograph|shot|a|an|of|at|as|to|by|only|just|about|around|merely|mere|"
    "nearly|almost|barely|near|close|no|not|more|less|than|least|most|solid|strong|weak|low|high|lower|higher|poor|"
    "good|fair|full|perfect|clear|overall|final|is|was|be|been|being|would|should|could|may|might|lies|sits|stands|"
    "between|from|given|perhaps|maybe|here"
)
_BETWEEN = rf"(?: (?:{_FILLED})\b)*[ :=~*\"'“(–-]+"
_CALLED = r"\b(?:scor(?:es?|ed|ing)|rat(?:es?|ed|ings?)|grad(?:es?|ed)|marks?|marked)\b"
_EARNS = r"\b(?:earn|deserve|merit|warrant|receive|give|gave|get|got|assign|award)\w*"
_OF_THINGS = (
    r"(?! (?!points\b|stars\b|marks\b|is\b|as\b|was\b|this\b|thus\b|its\b)[a-z]+s\b| (?:people|children|men|women)\b)"
)
_FORMS = (
    # 8 out of 10, eight of ten, 8/10; not 1/10 s, nor 7/10 of the frame
    rf"(?:(?<![\w./])\d{{1,2}}(?:[.,]\d)?|\b(?:zero|one|half|{_WORDS}))"
    r"[ -]?(?:out[ -]of|of|/)[ -]?(?:the |a possible )?"
    rf"(?:10|ten)(?![\w:/]|[.,]\d| of\b| ?(?:s|sec|seconds?)\b){_OF_THINGS}",
    rf"(?:(?<![\w./])\d{{1,3}}|\b(?:zero|one|{_WORDS}))[ -]out[ -]of[ -](?:5|five|100|a hundred)(?!\w){_OF_THINGS}",
    rf"{_CALLED}{_BETWEEN}(?:{_SCORE}|one\b{_SAID})",
    rf"{_EARNS}{_BETWEEN}{_SCORE}",
    rf"{_ANY}[ -](?:(?:point|star)s?[ -])?(?:rating|score|grade)\b",
    rf"{_ANY} (?:as|is|being|for) (?:its|the|a|my|an)?(?: \w+)? ?(?:rating|score|grade|mark)\b",
    # a 7, an eight, hence the 3
    rf"\ban? (?:(?:{_FILLED}|safe|generous|bare|true) )?{_SCORE}",
    rf"\b(?:the|my|this|its) {_DIGITS}{_SAID_IN_DIGITS}",
    rf"{_ANY} (?:on|in) (?:the|a|this|our|your|my) (?:\w+ )?scale\b",
    r"\bscale (?:of|from) (?:1|one)\b",
    # at the very beginning, as a list of scores has it
    rf"^\W*{_DIGITS}(?= ?(?:$|[.!?;:,)]| ?[-–—]))",
)
_ANY_NUMBER = re.compile(rf"\d|\b(?:zero|half|one|{_WORDS})\b")
_NAMED = tuple(re.compile(form) for form in _FORMS)


def names_a_score(text: str) -> bool:
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return _ANY_NUMBER.search(plain) is not None and any(form.search(plain) for form in _NAMED)
