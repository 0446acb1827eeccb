"""parse(): one flat dataclass per recipe, filled from a YAML file, then from the command line.

Whatever is wrong (an unknown key, a wrong type, a bad choice) is refused by name before anything heavy is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import errno
import math
import re
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import yaml

from tamis.retries import ServiceError

Config = TypeVar("Config")
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
# Metadata of a setting that decides what a score costs and not what it is: raising a spending cap must not make
# anybody pay again for what is in the journal.
COST_ONLY = {"decides": "cost alone"}


class ConfigError(ValueError):
    """A setting, or the data it points at, cannot be used; the message names field, value and what is accepted."""


@dataclass(kw_only=True)
class RunConfig:
    """What every recipe takes, beside its own fields."""

    output_dir: Annotated[str, "where journal, results.json, report.html and hub/ are written"]
    seed: Annotated[int, "decides random arms, ties and every other draw"] = 0
    limit: Annotated[int | None, "read the first N rows only"] = None
    dry_run: Annotated[bool, "work on a few rows, print what the whole run would take, publish nothing"] = False
    push_to_hub: Annotated[bool, "publish; without it the same files land under output_dir/hub/"] = False
    hub_model_id: Annotated[str | None, "repo the adapters are published to"] = None
    hub_dataset_id: Annotated[str | None, "repo the scored pool and the subset are published to"] = None
    hub_private_repo: Annotated[bool, "make new repos private"] = True
    report_to: Annotated[list[Literal["trackio", "wandb", "tensorboard"]], "trackers to log to"] = dataclasses.field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        self.refuse_below("limit", 1)
        for name in ("hub_model_id", "hub_dataset_id"):
            value = getattr(self, name)
            if value is not None and (not HUB_ID.fullmatch(value) or ".." in value):
                raise ConfigError(f"{name}: {value!r} is not accepted; expected OWNER/NAME")

    def refuse_unnamed(self, *repos: str) -> None:
        """Publishing needs the ids of these repos."""
        for name in repos:
            if self.push_to_hub and getattr(self, name) is None:
                raise ConfigError(f"{name}: needed with push_to_hub (OWNER/NAME)")

    def refuse_below(self, name: str, least: float, most: float = math.inf) -> None:
        """Bounds of a number, where it is set; NaN is in none."""
        value = getattr(self, name)
        if value is not None and not least <= value <= most:
            reach = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
            raise ConfigError(f"{name}: {value!r} is not accepted; expected {reach}")


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice: SafeLoader would silently keep the last."""


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"key {key!r} is given twice (line {node.start_mark.line + 1})")
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def parse(config_class: type[Config], argv: list[str] | None = None, *, description: str | None = None) -> Config:
    """The recipe's settings: defaults, then the file given by --config, then the command line.

    Exits with status 2 and one line that names the field when something is wrong, as argparse does.
    """
    parser = _parser(config_class, description)
    given = vars(parser.parse_args(argv))
    path = given.pop("config", None)
    try:
        values = read_yaml(path) if path else {}
        values = {name: _convert(config_class, name, value, path) for name, value in values.items()}
        values |= {name: _convert(config_class, name, value, "command line") for name, value in given.items()}
        return from_values(config_class, values)
    except ConfigError as error:
        parser.error(str(error))


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Around main(): what the user can mend is told in one line, everything else keeps its traceback.

    Exit status 2: a setting or the data; 1: the Hub, a server or the disk, and starting again goes on from there.
    """
    try:
        yield
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        print(f"error: no space: {error}; free some and start again, finished scores are kept", file=sys.stderr)
        sys.exit(1)


def read_yaml(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from error
    try:
        values = yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ConfigError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found a {type(values).__name__}")
    return values


def from_values(config_class: type[Config], values: dict[str, Any], where: str = "") -> Config:
    """Builds a dataclass from a mapping with the same checks as parse(): scorers in a YAML are built by it too."""
    values = {name: _convert(config_class, name, value, where) for name, value in values.items()}
    missing = [
        field.name
        for field in dataclasses.fields(config_class)
        if field.init
        and field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where + ': ' if where else ''}{', '.join(missing)}: needed, no default")
    try:
        return config_class(**values)
    except ConfigError:
        raise
    except ValueError as error:  # a __post_init__ that looks at several fields together
        raise ConfigError(f"{where + ': ' if where else ''}{error}") from error


def _hints(config_class: type) -> dict[str, Any]:
    """The settings and their types; a field that the class fills in by itself (init=False) is none."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_class) if field.init}


def _type_and_help(hint: Any) -> tuple[Any, str]:
    if typing.get_origin(hint) is Annotated:
        return typing.get_args(hint)[0], typing.get_args(hint)[1]
    return hint, ""


def _convert(config_class: type, name: Any, value: Any, where: str | Path | None) -> Any:
    hints = _hints(config_class)
    place = f"{where}: " if where else ""
    if name not in hints:
        near = difflib.get_close_matches(str(name), hints, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"{place}unknown key {name!r}; {hint}accepted: {', '.join(hints)}")
    kind, _ = _type_and_help(hints[name])
    try:
        return _cast(kind, value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place}{name}: {value!r} is not accepted; expected {_say(kind)}") from error


def _cast(kind: Any, value: Any) -> Any:
    """The value as `kind`, or TypeError saying what was expected. Strict: a string is never read as a list."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        for option in arguments:
            try:
                return _cast(option, value)
            except (TypeError, ValueError):
                continue
        raise TypeError(_say(kind))
    if origin is Literal:
        if value in arguments:
            return value
    elif origin is list:
        if isinstance(value, list | tuple):
            return [_cast(arguments[0], item) for item in value]
    elif origin is tuple:
        if isinstance(value, list | tuple) and (arguments[-1] is Ellipsis or len(arguments) == len(value)):
            kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
            return tuple(_cast(item_kind, item) for item_kind, item in zip(kinds, value, strict=True))
    elif origin is dict:
        if isinstance(value, dict):
            return {_cast(arguments[0], key): _cast(arguments[1], item) for key, item in value.items()}
    elif kind is type(None):
        if value is None:
            return None
    elif kind is float:
        # YAML 1.1 reads 1e-4 (no dot) as text: every learning rate would be refused.
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                return float(value)
            except ValueError:
                pass
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise TypeError(_say(kind))


def _say(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_say(option) for option in arguments)
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in arguments)
    if origin is list:
        return f"a list of {_say(arguments[0])}"
    if origin is tuple:
        return "a list [" + ", ".join("..." if item is Ellipsis else _say(item) for item in arguments) + "]"
    if origin is dict:
        return f"a mapping of {_say(arguments[0])} to {_say(arguments[1])}"
    if kind is type(None):
        return "null"
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "a mapping"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _parser(config_class: type, description: str | None) -> argparse.ArgumentParser:
    # What was not given on the command line is absent (SUPPRESS), so that it never overrides the file.
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    # argparse takes -0.5 for a number and -1e-3 for a flag; there is no public way to tell it.
    parser._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
    parser.add_argument("--config", metavar="FILE", help="YAML file of the settings below")
    defaults = {field.name: field for field in dataclasses.fields(config_class)}
    for name, hint in _hints(config_class).items():
        kind, text = _type_and_help(hint)
        told = "; ".join([*_choices(kind), _default(defaults[name])])
        _add_argument(parser, name, kind, f"{text} ({told})".strip().replace("%", "%%"))
    return parser


def _default(field: dataclasses.Field) -> str:
    """As it would be written in a YAML; `none` is the name of an arm."""
    if field.default is True:
        return f"default: true; --no_{field.name} turns it off"
    if field.default is not dataclasses.MISSING:
        return f"default: {'null' if field.default is None else field.default}"
    if field.default_factory is not dataclasses.MISSING:
        return f"default: {field.default_factory() or 'empty'}"
    return "needed"


def _choices(kind: Any) -> list[str]:
    """The values of a Literal, itself or in a list or beside null."""
    if typing.get_origin(kind) is Literal:
        return [", ".join(map(str, typing.get_args(kind)))]
    return [told for part in typing.get_args(kind) for told in _choices(part)]


def _add_argument(parser: argparse.ArgumentParser, name: str, given: Any, text: str) -> None:
    kind = given
    options = [option for option in typing.get_args(kind) if option is not type(None)]
    if typing.get_origin(kind) in (Union, types.UnionType) and len(options) == 1:
        kind = options[0]
    wants_null = type(None) in typing.get_args(given)
    if kind is bool:
        group = parser.add_mutually_exclusive_group()
        group.add_argument(f"--{name}", action="store_const", const=True, help=text)
        group.add_argument(f"--no_{name}", dest=name, action="store_const", const=False, help=argparse.SUPPRESS)
    elif typing.get_origin(kind) is list:
        parser.add_argument(f"--{name}", nargs="*", type=_reader(typing.get_args(kind)[0]), metavar="VALUE", help=text)
    elif typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        parser.add_argument(f"--{name}", nargs=len(kinds), type=_reader(kinds[0]), metavar="VALUE", help=text)
    else:
        parser.add_argument(f"--{name}", type=_reader(kind, wants_null), metavar="VALUE", help=text)


def _reader(kind: Any, wants_null: bool = False) -> Any:
    """Command-line text to a value: text stays text where text is meant, everything else is read as YAML.

    The word null unsets what may be unset.
    """
    options = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    texts = kind is str or (bool(options) and all(isinstance(option, str) for option in options))

    def read(text: str) -> Any:
        if wants_null and text == "null":
            return None
        if kind is int:
            return int(text, 10)  # YAML would read 010 as 8
        return text if texts else yaml.load(text, _StrictLoader)

    read.__name__ = _say(kind)  # argparse names it in its own errors
    return read
