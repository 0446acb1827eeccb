"""The ten yes/no questions of self_reward_lora, and what their answers are worth.

The published code gives each question +1, 0 or -1, at most 9 in all: the first always earns one, whatever the answer;
a yes to odd patterns costs one; a yes earns one for the third to the eighth and for the tenth; a no earns one for
deviations; every other reply earns nothing. So realism is never counted, and a thing that could be taken for
the class is rewarded. `PUBLISHED_POINTS` keeps that scoring for comparison; `SIGNS` says which answer is really good.
"""

from __future__ import annotations

from tamis.prompts import render, variables

# +1 where yes is good, -1 where no is; in the paper's order.
SIGNS = {
    "realistic": 1,
    "odd_patterns": -1,
    "class_visible": 1,
    "body_plausible": 1,
    "natural_behaviour": 1,
    "confusable": -1,
    "anatomy": 1,
    "colours_match": 1,
    "deviates": -1,
    "prompt_respected": 1,
}
# Points for yes, points for no.
PUBLISHED_POINTS = {
    "realistic": (1, 1),
    "odd_patterns": (-1, 0),
    "class_visible": (1, 0),
    "body_plausible": (1, 0),
    "natural_behaviour": (1, 0),
    "confusable": (1, 0),
    "anatomy": (1, 0),
    "colours_match": (1, 0),
    "deviates": (0, 1),
    "prompt_respected": (1, 0),
}


def questions(class_name: str, prompt: str, *, wording: str = "full") -> dict[str, str]:
    """The instructions of the ten questions about a picture, by name; each is given only the variables it takes."""
    given = {"class_name": class_name, "prompt": prompt}
    asked = {}
    for question in SIGNS:
        name = f"self_reward/{question}"
        taken = variables(name, wording)
        asked[question] = render(
            name, wording=wording, **{variable: value for variable, value in given.items() if variable in taken}
        )
    return asked
