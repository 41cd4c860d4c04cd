"""Typed, frozen configuration <-> YAML <-> `key=value`.

The configuration type is the schema, the documentation and the command line at once. Fields are declared with `knob`, which
asks for a unit and a meaning; `describe` prints them. Values are checked once, at the door, and never changed afterwards.
An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from accordant.types import UserError

C = TypeVar("C", bound="Config")

REQUIRED: Any = ...


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused, no coercion of text to numbers behind the user's back."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), validate_default=True)


def knob(default: Any, doc: str, unit: str = "", **limits: Any) -> Any:
    """A field with its default, its meaning, its unit and its limits (`ge`, `gt`, `le`, `lt`, `min_length`).

    `lr: float = knob(3e-5, "peak learning rate", gt=0)`; pass `REQUIRED` for a field without default.
    """
    extra = {"unit": unit}
    if isinstance(default, Config):
        return Field(default_factory=lambda: default, description=doc, json_schema_extra=extra, **limits)
    return Field(default, description=doc, json_schema_extra=extra, **limits)


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, which YAML 1.1 takes for text. What is quoted is text."""


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that `_Loader` would take for numbers."""


for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$"),
        list("-+.0123456789"),
    )


def build(cls: type[C], values: Mapping[str, Any], where: str = "configuration") -> C:
    """Validate `values` against `cls`.

    Raises:
        UserError: every fault at once, each with its dotted key, what was found, and what is allowed.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise _faults(cls, [dict(item) for item in error.errors()], where) from None


def check(cls: type[Config], values: Mapping[str, Any], where: str, known_later: Callable[[Any], bool]) -> None:
    """What is wrong with `values` already, when those that `known_later` says are still to come.

    Raises:
        UserError: as `build`.
    """
    try:
        cls.model_validate(dict(values))
    except ValidationError as error:
        items = [dict(item) for item in error.errors() if not known_later(item.get("input"))]
        if items:
            raise _faults(cls, items, where) from None


def _faults(cls: type[Config], items: Iterable[dict[str, Any]], where: str) -> UserError:
    faults = [_fault(cls, item) for item in items]
    return UserError(f"{where}:\n" + "\n".join(f"  {fault}" for fault in dict.fromkeys(faults)))


def _fault(cls: type[Config], item: dict[str, Any]) -> str:
    path, holder = _walk(cls, [str(part) for part in item["loc"]])
    key = ".".join(path)
    match item["type"]:
        case "extra_forbidden":
            return f"unknown key '{key}'{nearest(path[-1], holder.model_fields if holder else ())}"
        case "missing":
            return f"'{key}' is required and has no default"
        case "union_tag_invalid":
            tags = [tag.strip().strip("'") for tag in item["ctx"]["expected_tags"].split(",")]
            return f"'{key}.kind' = {item['ctx']['tag']!r} is not one of {', '.join(tags)}{_close(item['ctx']['tag'], tags)}"
        case "union_tag_not_found":
            return f"'{key}.kind' is required: it says which settings follow"
        case "model_type" | "model_attributes_type":
            inner = _config_types(holder.model_fields[path[-1]].annotation) if holder else []
            first = next(iter(inner[0].model_fields), "name") if inner else "name"
            return f"'{key}' = {item.get('input')!r} is one value, but '{key}' is a group of settings: write {key}.{first}=..."
        case "string_type" if isinstance(item.get("input"), int | float):
            return f"'{key}' = {item['input']!r} is a number, and a text is wanted: write {key}='\"{item['input']}\"'"
        case "value_error":  # a check of our own; what a group of settings holds is said by the check itself
            found = "" if isinstance(item.get("input"), Mapping) else f" = {item.get('input')!r}"
            return f"'{key}'{found}: {item['msg'].removeprefix('Value error, ')}"
    return f"'{key}' = {item.get('input')!r}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _walk(cls: type[Config], location: list[str]) -> tuple[list[str], type[Config] | None]:
    """A key as the user wrote it, without pydantic's mark of the kind that was tried; and the type that should know it."""
    path: list[str] = []
    options: list[type[Config]] = [cls]
    holder: type[Config] | None = None
    for part in location:
        kinds = {_kind(option): option for option in options}
        if len(options) > 1 and part in kinds:
            options = [kinds[part]]
            continue
        path.append(part)
        holder = options[0] if len(options) == 1 else None
        if holder is not None and part in holder.model_fields:
            options = _config_types(holder.model_fields[part].annotation)
    return path, holder


def _config_types(annotation: Any) -> list[type[Config]]:
    """The configuration types inside an annotation: one, several kinds of which one is chosen, or none."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _config_types(inner)]


def _kind(cls: type[Config]) -> str:
    return str(cls.model_fields["kind"].default) if "kind" in cls.model_fields else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'lr'?"` for the closest of `known`, else the list of them."""
    known = list(known)
    return _close(name, known) or (f"; known: {', '.join(sorted(known))}" if known else "")


def _close(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """`["optim.lr=1e-4", "model=gpt2"]` -> `{"optim": {"lr": 0.0001}, "model": "gpt2"}`; values are YAML.

    Raises:
        UserError: a word without `=`, or a key that is both a value and a group.
    """
    tree: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign or not key:
            raise UserError(f"'{word}' is not an override: write key=value, for example optim.lr=1e-4")
        set_path(tree, key, parse_value(text, key))
    return tree


def parse_value(text: str, key: str) -> Any:
    """YAML, with the numbers that YAML 1.1 takes for text (1e-4) read as numbers."""
    try:
        return yaml.load(text, _Loader) if text else None
    except yaml.YAMLError:
        raise UserError(f"'{key}={text}': the value is not valid YAML; quote it, for example {key}='\"...\"'") from None


def set_path(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested dictionaries, making the levels that are missing."""
    *parents, last = key.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise UserError(f"'{key}': '{part}' already has a value, so nothing can be set inside it")
    tree[last] = value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, level by level. Another `kind` replaces the whole group: its keys mean other things."""
    if "kind" in over and "kind" in base and over["kind"] != base["kind"]:
        return dict(over)
    out = dict(base)
    for key, value in over.items():
        inner = out.get(key)
        out[key] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return out


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping.

    Raises:
        UserError: the file is missing, is not YAML (line and column are named), or is not a mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")]) if path.parent.is_dir() else ""
        raise UserError(f"no file {path}{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UserError(f"{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: the top level must be a mapping of keys to values, found {type(value).__name__}")
    return value


def to_yaml(value: Config | Mapping[str, Any]) -> str:
    """Plain YAML, keys in declaration order; `build(cls, read_yaml(...))` gives the same configuration back."""
    data = value.model_dump(mode="json") if isinstance(value, Config) else dict(value)
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def describe(cls: type[Config]) -> list[tuple[str, str, str, str]]:
    """Rows (dotted key, default, unit, meaning) of every field, nested ones in place.

    Where one of several kinds is chosen, the settings of each are listed once; further fields of that type refer to them.
    """
    return _describe(cls, "", {})


def _describe(cls: type[Config], prefix: str, listed: dict[tuple[type[Config], ...], str]) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for name, info in cls.model_fields.items():
        inner = tuple(_config_types(info.annotation))
        own = _row(prefix + name, info)
        if len(inner) > 1:
            under = f"{prefix}{name}." + ("<name>." if get_origin(info.annotation) is dict else "")
            rows += [own, *_describe_kinds(inner, under, listed)]
        elif inner and info.annotation is inner[0]:
            rows += _describe(inner[0], f"{prefix}{name}.", listed)
        else:
            under = f"{prefix}{name}." + ("<name>." if get_origin(info.annotation) is dict else "")
            rows += [own, *(row for one in inner for row in _describe(one, under, listed))]
    return rows


def _describe_kinds(
    kinds: tuple[type[Config], ...], under: str, listed: dict[tuple[type[Config], ...], str]
) -> list[tuple[str, str, str, str]]:
    names = ", ".join(_kind(kind) for kind in kinds)
    if kinds in listed:
        return [(f"{under}kind", "(required)", "", f"{names}; settings as those of {listed[kinds]}*")]
    listed[kinds] = under
    rows = [(f"{under}kind", "(required)", "", f"{names}: which of the settings below there are")]
    for kind in kinds:
        for key, default, unit, meaning in _describe(kind, under, listed):
            if key != f"{under}kind":
                rows.append((key, default, unit, f"(kind: {_kind(kind)}) {meaning}"))
    return rows


def _row(key: str, info: FieldInfo) -> tuple[str, str, str, str]:
    default = "(required)" if info.is_required() else _show(info.get_default(call_default_factory=True))
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return key, default, str(extra.get("unit", "")), info.description or ""


def _show(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
