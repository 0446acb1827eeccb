"""The 15 sub-tasks of scale_select, in six categories: the options of scale/task and the names under scale/captions.

Both are labels of MMBench (columns `category` and `l2-category`), whose 20 sub-tasks SCALE cuts by five: image emotion,
image quality, spatial relationship, identity reasoning and nature relation.
"""

from __future__ import annotations

from typing import NamedTuple


class Subtask(NamedTuple):
    category: str
    description: str


COARSE = "coarse_perception"
ONE_THING = "finegrained_perception (instance-level)"
ACROSS_THINGS = "finegrained_perception (cross-instance)"
ATTRIBUTES = "attribute_reasoning"
RELATIONS = "relation_reasoning"
LOGIC = "logic_reasoning"
CATEGORIES = (COARSE, ONE_THING, ACROSS_THINGS, ATTRIBUTES, RELATIONS, LOGIC)

SUBTASKS = {
    "image_style": Subtask(COARSE, "what kind of picture it is: photograph, painting, sketch, its technique or school"),
    "image_scene": Subtask(COARSE, "what place the whole picture shows, indoors or outdoors, and in what conditions"),
    "image_topic": Subtask(COARSE, "what the picture as a whole is about; also a description of all of it"),
    "object_localization": Subtask(ONE_THING, "where a thing is in the picture, or how many there are and where"),
    "attribute_recognition": Subtask(ONE_THING, "colour, shape, material or kind of one thing, as it is seen"),
    "celebrity_recognition": Subtask(ONE_THING, "who a well-known person, character, work or landmark is"),
    "ocr": Subtask(ONE_THING, "reading words, digits or formulas in the picture"),
    "attribute_comparison": Subtask(ACROSS_THINGS, "in what two or more things are alike or different"),
    "action_recognition": Subtask(ACROSS_THINGS, "what somebody is doing, alone, with a thing or with others"),
    "physical_property_reasoning": Subtask(ATTRIBUTES, "a physical or chemical property to be inferred, not just seen"),
    "function_reasoning": Subtask(ATTRIBUTES, "what a thing or a place is for, or how it is used"),
    "social_relation": Subtask(RELATIONS, "how people are related: family, friends, colleagues, customer and seller"),
    "physical_relation": Subtask(RELATIONS, "how things stand to one another in space: on, inside, touching, nearer"),
    "structuralized_imagetext_understanding": Subtask(
        LOGIC, "drawing conclusions from a chart, table, diagram, map, figure of geometry or document"
    ),
    "future_prediction": Subtask(LOGIC, "what happens next, or what follows from what is seen"),
}
