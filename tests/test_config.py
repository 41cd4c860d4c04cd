"""Configuration: YAML there and back, overrides, and what is said about a wrong key or value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from accordant.config import REQUIRED, Config, build, describe, knob, merge, parse_overrides, read_yaml, to_yaml
from accordant.stages import KINDS, load
from accordant.types import UserError


class Inner(Config):
    lr: float = knob(1e-3, "learning rate", "per step", gt=0)
    name: str | None = knob(None, "a name")


class Circle(Config):
    kind: Literal["circle"] = "circle"
    radius: float = knob(REQUIRED, "its radius", "cm", gt=0)


class Square(Config):
    kind: Literal["square"] = "square"
    side: float = knob(1.0, "its side", "cm", gt=0)


Shape = Annotated[Circle | Square, Field(discriminator="kind")]


class Outer(Config):
    data: str = knob(REQUIRED, "rows", min_length=1)
    inner: Inner = knob(Inner(), "how to step")
    other: Inner | None = knob(None, "another one")
    shape: Shape = knob(Square(), "what is drawn")
    spare: Shape | None = knob(None, "what is drawn otherwise")
    shapes: dict[str, Shape] = knob({}, "more of them")
    steps: int = knob(3, "steps", "steps", ge=1)
    names: tuple[str, ...] = knob((), "names")


# --- YAML -------------------------------------------------------------------------------------------------------------

names = (
    st.none()
    | st.sampled_from(["500", "1e-4", "-.5", "08", "1_0", ".inf", "1:30"])
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
)
positive = st.floats(min_value=1e-12, max_value=1e12)


@given(lr=positive, name=names, side=positive, steps=st.integers(1, 10**6), words=st.lists(names.map(str), max_size=3))
def test_yaml_round_trip(
    lr: float, name: str | None, side: float, steps: int, words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.yaml"
    cfg = build(Outer, {
        "data": "rows.jsonl", "inner": {"lr": lr, "name": name}, "other": {"lr": lr}, "steps": steps, "names": words,
        "shape": {"kind": "square", "side": side}, "shapes": {"a": {"kind": "circle", "radius": side}},
    })  # fmt: skip
    path.write_text(to_yaml(cfg), encoding="utf-8")
    assert build(Outer, read_yaml(path)) == cfg


def test_yaml_faults_name_file_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(UserError, match=r"a\.yaml:3:2: not valid YAML"):
        read_yaml(path)
    path.write_text("- 1\n- 2\n")
    with pytest.raises(UserError, match="must be a mapping of keys to values, found list"):
        read_yaml(path)
    with pytest.raises(UserError, match=r"no file .*b\.yaml; did you mean 'a\.yaml'"):
        read_yaml(tmp_path / "b.yaml")


def test_a_configuration_is_frozen() -> None:
    cfg = build(Outer, {"data": "x"})
    with pytest.raises(ValidationError, match="frozen"):
        cfg.steps = 4
    with pytest.raises(ValidationError, match="frozen"):
        cfg.inner.lr = 1.0


# --- overrides --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a.b=1e-4", 1e-4), ("a.b=3", 3), ("a.b=-2.5e3", -2500.0), ("a.b=.inf", float("inf")), ("a.b=null", None),
        ("a.b=", None), ("a.b=true", True), ("a.b=[1e-4, x]", [1e-4, "x"]), ("a.b={c: 2e-1}", {"c": 0.2}),
        ('a.b="1e-4 is small"', "1e-4 is small"), ("a.b='null'", "null"), ("a.b=x=y", "x=y"),
        ("a.b=hub:owner/name:train", "hub:owner/name:train"), ("a.b=1.2.3", "1.2.3"),
        ('a.b="500"', "500"), ("a.b='1e-4'", "1e-4"), ('a.b=["007", 1e3]', ["007", 1e3]), ("a.b=-.5", -0.5), ("a.b=08", 8.0),
    ],
)  # fmt: skip
def test_overrides_are_yaml(word: str, value: Any) -> None:
    assert parse_overrides([word]) == {"a": {"b": value}}


@pytest.mark.parametrize("number", ["500", "1e-4", "2.5"])
def test_a_number_in_a_texts_place_is_told_how_to_be_written(number: str) -> None:
    with pytest.raises(UserError, match=r"'inner.name' = .* is a number, and a text is wanted: write inner\.name='\"") as error:
        build(Outer, {"data": "rows.jsonl", **parse_overrides([f"inner.name={number}"])})
    word = str(error.value).partition("write ")[2].replace("'", "")  # as the shell hands it over
    assert isinstance(build(Outer, {"data": "rows.jsonl", **parse_overrides([word])}).inner.name, str)


def test_overrides_build_one_tree() -> None:
    assert parse_overrides(["a.b=1", "a.c.d=2", "e=3"]) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["steps"], "'steps' is not an override: write key=value"),
        (["=3"], "is not an override"),
        (["a=1", "a.b=2"], "'a.b': 'a' already has a value"),
        (["a=[1"], "the value is not valid YAML; quote it"),
    ],
)
def test_overrides_that_make_no_sense(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_overrides(words)


def test_merge_goes_level_by_level() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}


def test_another_kind_replaces_the_group() -> None:
    circle = {"kind": "circle", "radius": 2}
    assert merge({"shape": circle}, {"shape": {"kind": "square"}}) == {"shape": {"kind": "square"}}
    assert merge({"shape": circle}, {"shape": {"kind": "circle"}}) == {"shape": circle}
    assert merge({"shape": circle}, {"shape": {"radius": 3}}) == {"shape": {"kind": "circle", "radius": 3}}


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'data' is required and has no default"),
        ({"stps": 1}, "unknown key 'stps'; did you mean 'steps'?"),
        ({"zzzz": 1}, "unknown key 'zzzz'; known: data, inner, names, other, shape, shapes, spare, steps"),
        ({"inner": {"lrr": 1}}, "unknown key 'inner.lrr'; did you mean 'lr'?"),
        ({"other": {"nme": 1}}, "unknown key 'other.nme'; did you mean 'name'?"),
        ({"inner": {"lr": 0}}, "'inner.lr' = 0: input should be greater than 0"),
        ({"inner": "x"}, "'inner' = 'x' is one value, but 'inner' is a group of settings: write inner.lr=..."),
        ({"shape": "circle"}, "'shape' = 'circle' is one value, but 'shape' is a group of settings: write shape.kind=..."),
        ({"steps": "many"}, "'steps' = 'many': input should be a valid integer"),
        ({"steps": 1.5}, "'steps' = 1.5: input should be a valid integer"),
        ({"shape": {"kind": "square", "sid": 1}}, "unknown key 'shape.sid'; did you mean 'side'?"),
        ({"shape": {"kind": "circle"}}, "'shape.radius' is required"),
        ({"shape": {"kind": "circle", "radius": -1}}, "'shape.radius' = -1: input should be greater than 0"),
        ({"shape": {"kind": "sqare"}}, "'shape.kind' = 'sqare' is not one of circle, square; did you mean 'square'?"),
        ({"shape": {"side": 1}}, "'shape.kind' is required"),
        ({"spare": {"kind": "circle", "radios": 1, "radius": 1}}, "unknown key 'spare.radios'; did you mean 'radius'?"),
        ({"shapes": {"a": {"kind": "square", "sid": 1}}}, "unknown key 'shapes.a.sid'; did you mean 'side'?"),
        ({"shapes": {"square": {"kind": "square", "sid": 1}}}, "unknown key 'shapes.square.sid'; did you mean 'side'?"),
    ],
)  # fmt: skip
def test_faults_say_key_value_and_limit(values: dict[str, Any], message: str) -> None:
    given_values = values if values == {} else {"data": "x", **values}
    with pytest.raises(UserError) as error:
        build(Outer, given_values, "here")
    assert str(error.value).splitlines() == ["here:", *[line for line in str(error.value).splitlines() if message in line]]


def test_all_faults_come_at_once() -> None:
    with pytest.raises(UserError) as error:
        build(Outer, {"steps": 0, "inner": {"lr": -1}, "x": 1})
    assert len(str(error.value).splitlines()) == 5  # the place, data, steps, inner.lr, x


def test_text_never_becomes_a_number_by_accident() -> None:
    with pytest.raises(UserError, match="'data' = 7"):
        build(Outer, {"data": 7})


# --- the list of settings ---------------------------------------------------------------------------------------------


def test_describe_lists_every_kind_of_a_choice_once() -> None:
    rows = {(key, meaning): (default, unit) for key, default, unit, meaning in describe(Outer)}
    assert rows["inner.lr", "learning rate"] == ("0.001", "per step")
    assert rows["other", "another one"] == ("none", "")
    assert rows["other.lr", "learning rate"] == ("0.001", "per step")
    assert rows["shape.kind", "circle, square: which of the settings below there are"] == ("(required)", "")
    assert rows["shape.radius", "(kind: circle) its radius"] == ("(required)", "cm")
    assert rows["shape.side", "(kind: square) its side"] == ("1", "cm")
    assert rows["spare.kind", "circle, square; settings as those of shape.*"] == ("(required)", "")
    assert rows["shapes.<name>.kind", "circle, square; settings as those of shape.*"] == ("(required)", "")
    assert not any(key.startswith("spare.side") for key, _ in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_of_every_stage_has_a_meaning(kind: str) -> None:
    rows = describe(load(kind)[1])
    assert rows
    assert [key for key, _, _, meaning in rows if not meaning.removeprefix("(kind: ").partition(") ")[2] and not meaning] == []
    names = {key.partition(".")[0] for key, *_ in rows}
    fields = set(load(kind)[1].model_fields) - {"algo"}  # an algorithm may have no knobs
    assert fields <= names
