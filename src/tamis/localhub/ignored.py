"""The part of .gitignore that a push needs: which uploaded paths it leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable


def matcher(text: str) -> Callable[[str], bool]:
    """A test for paths under the rules of a .gitignore; the last rule that matches decides."""
    rules = [rule for line in text.splitlines() if (rule := _rule(line))]

    def is_ignored(path: str) -> bool:
        verdict = False
        for pattern, negated in rules:
            if pattern.match(path):
                verdict = not negated
        return verdict

    return is_ignored


def _rule(line: str) -> tuple[re.Pattern[str], bool] | None:
    line = line.rstrip()
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line[negated:]
    only_folders = line.endswith("/")
    line = line.rstrip("/")
    anchored = "/" in line
    expression = "" if anchored else "(?:.*/)?"
    for part in re.findall(r"/?\*\*/|/\*\*$|\*|\?|[^*?]", line.lstrip("/")):
        if part.endswith("**/"):
            expression += "/(?:.*/)?" if part.startswith("/") else "(?:.*/)?"
        elif part == "/**":
            expression += "/.*"
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(expression + ("/.*" if only_folders else "(?:/.*)?") + r"\Z"), negated
