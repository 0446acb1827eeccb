"""A model that looks and answers: `decide` typed questions with a probability per option, `write` texts.

A judge is a frozen dataclass of settings with these two verbs: `LocalJudge` runs a model of transformers here,
`ApiJudge` asks a server; `build` makes either from the settings of a YAML. `LocalJudge` has a third, `likelihoods`: how
likely each of several texts is as a reply, or as what follows a begun one. No server tells that of a whole text.
"""

from tamis.judge.api import ApiJudge
from tamis.judge.api_calls import ApiError, SpendingCapError
from tamis.judge.asking import Ask, Request
from tamis.judge.building import Judge, build
from tamis.judge.local import LocalJudge

__all__ = ["ApiError", "ApiJudge", "Ask", "Judge", "LocalJudge", "Request", "SpendingCapError", "build"]
