"""The shipped model files as files: each says where its numbers are from; a file with a mistake is refused, at its line."""

from __future__ import annotations

import re
import time
from typing import Final

import pytest

from agents.program import known_models, load_model
from schemas.errors import ConfigError
from schemas.model_file import ModelFile
from schemas.yaml_file import FILE_BYTES_MAX, parse_yaml

TEXTS: Final = {name: source.read_text(encoding="utf-8") for name, source in known_models(None).items()}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_says_what_it_asks_and_which_numbers_are_whose(name: str) -> None:
    head = TEXTS[name].partition("model: ")[0]
    assert load_model(name).model == name
    assert re.match(r"# [A-Z].*[.?]", head)
    assert "From the source: " in head
    assert "Ours: " in head


def refused(text: str) -> str:
    """Return why a file is refused."""
    with pytest.raises(ConfigError) as mistake:
        parse_yaml(text, ModelFile, name="mine")
    return str(mistake.value)


def line_of(text: str, part: str) -> int:
    """Return the number of the first line that has a part, comments apart."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line and not line.startswith("#"))


# Each key of the file, with a letter missing at its end: its place, and the keys that are known there
ALL_KEYS = "model, version, scale, denominator, min_coverage, missing, applies_to, dimensions, bands, grid, hysteresis, dwell_h"
KEYS = {
    "model": ALL_KEYS, "version": ALL_KEYS, "scale": ALL_KEYS, "denominator": ALL_KEYS, "min_coverage": ALL_KEYS,
    "missing": ALL_KEYS, "applies_to": ALL_KEYS, "dimensions": ALL_KEYS, "bands": ALL_KEYS, "hysteresis": ALL_KEYS,
    "dwell_h": ALL_KEYS, "min_change": ALL_KEYS,
    "kind": "kind",
    "components": "name, weight, components",
    "metric": "name, weight, metric, ramp, steps, table",
    "ramp": "name, weight, metric, ramp, steps, table",
    "steps": "name, weight, metric, ramp, steps, table",
    "table": "name, weight, metric, ramp, steps, table",
    "feature": "feature, source, window_days, lag_days, of_days, half_life_days",
    "source": "feature, source, window_days, lag_days, of_days, half_life_days",
    "window_days": "feature, source, window_days, lag_days, of_days, half_life_days",
    "half_life_days": "feature, source, window_days, lag_days, of_days, half_life_days",
    "from": "name, from, closed, service",
    "closed": "name, from, closed, service",
    "service": "name, from, closed, service",
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_a_typo_is_told_with_the_keys_that_are_known(key: str) -> None:
    text = re.sub(rf"^((?!#).*?\b){key}:", rf"\g<1>{key[:-1]}:", TEXTS["guide"], count=1, flags=re.MULTILINE)
    (found,) = (line for line in refused(text).splitlines() if f"{key[:-1]}: unknown key" in line)
    assert f"unknown key; known: {KEYS[key]}" in found
    at = line_of(text, f"{key[:-1]}:")
    assert re.match(rf"  line ({at}|{at + 1}): ", found), "what is a block begins at the line after its key"


def test_a_key_of_a_grid_with_a_typo_is_told_as_well() -> None:
    told = refused(TEXTS["expansion"].replace("{name: D, from: 20, closed", "{name: D, from: 20, close"))
    assert "grid.fit.1.close: unknown key; known: name, from, closed (found 'left')" in told


# A model, what is right in it, what takes its place, a part of the line at which that is told (none: its own), what is told
MISTAKES: Final[list[tuple[str, str, str, str | None, str]]] = [
    # metrics and facts
    ("guide", "feature: key_features", "feature: keyfeatures", None, "unknown feature 'keyfeatures'; known: count, "),
    ("guide", "source: arr", "source: arrr", None, "unknown source 'arrr'; known: kind, nps, "),
    ("guide", "source: csat", "source: nps", None, "unknown source 'nps'; known: csat, resolve_hours"),
    ("guide", "window_days: 91", "window_days: 90", None, "multiple of 7"),
    ("guide", "window_days: 91", "window_days: 364", None, "less than or equal to 182"),
    ("value", '"yes": 4', '"yess": 4', None, "unknown category 'yess'; known: no, yes"),
    # weights
    ("guide", "weight: 12", "weight: 0", None, "greater than or equal to 1 (found 0)"),
    ("guide", "weight: 12", "weight: -1", None, "greater than or equal to 1 (found -1)"),
    ("guide", "weight: 12", "weight: 12.5", None, "a valid integer"),
    ("guide", "weight: 12", "weight: 13", "weight: 40", "the components' weights add up to 41, the dimension says 40"),
    ("guide", "denominator: 100", "denominator: 101", None, "the weights add up to 100, the denominator is 101"),
    ("siemens", "missing: spread_in_dimension", "missing: ignore", None, "'spread', 'count' or 'spread_in_dimension'"),
    # numbers that are none
    ("guide", "weight: 12", "weight: .nan", None, "a valid integer"),
    ("guide", "[10000, 40]", "[.nan, 40]", None, "a finite number (found nan)"),
    ("guide", "[10000, 40]", "[10000, .inf]", None, "a finite number (found inf)"),
    ("guide", "min_coverage: 0.5", "min_coverage: .nan", None, "less than or equal to 1 (found nan)"),
    ("guide", "hysteresis: 2", "hysteresis: .nan", None, "less than or equal to 50 (found nan)"),
    # scales
    ("value", "scale: [0, 4]", "scale: [4, 4]", None, "the scale must rise, from 4 to more than that"),
    ("value", "scale: [0, 4]", "scale: [0, 101]", None, "less than or equal to 100 (found 101)"),
    ("value", "scale: [0, 4]", "scale: [0, 3]", "table:", "4 points are not on the model's scale, 0..3"),
    ("value", "from: 3", "from: 5", None, "5 is not on the model's scale, 0..4"),
    ("value", "scale: [0, 4]", "scale: [1, 4]", "missing:", "`missing: count` counts from 0; the scale begins at 1"),
    # bands that overlap, have no sides, no names
    ("guide", "from: 50", "from: 80", "from: 75", "'strategic' starts at 75, 'growth' before it at 80"),
    ("guide", "from: 50", "from: 25", "name: growth, from", "'growth' starts at 25, 'maintain' before it at 25"),
    ("guide", "from: 0, closed: left", "from: 1, closed: left", None, "the first band must start at 0 and be closed: left"),
    ("guide", "closed: left", "closed: both", None, "'left' or 'right'"),
    ("guide", "name: maintain", "name: evaluate", "from: 25", "two bands have the name 'evaluate'"),
    ("guide", "name: csat", "name: spend", None, "two components have the name 'spend'"),
    # grids
    ("expansion", "{name: D, from: 20", "{name: D, from: 50", "name: C", "'C' starts at 40, 'D' before it at 50"),
    ("expansion", "name: D", "name: Dd", None, "should match pattern '^([A-Z]|[1-9])$'"),
    ("expansion", "name: D", 'name: "7"', None, "the levels of this axis are named by letters A..Z"),
    ("expansion", "\n  engagement:\n", "\n  engagment:\n", "grid:", "in their order, fit, engagement; found fit, "),
    ("expansion", "grid:", "bands: [{name: a, from: 0, closed: left}, {name: b, from: 1, closed: left}]\ngrid:", "model:",
     "give exactly one of bands and grid"),
    # values within themselves and twice
    ("guide", "kind: [customer]", "kind: &all [customer, *all]", None, "a value that contains itself (*name)"),
    ("guide", "version: 1", "version: 1\nversion: 2", "version: 2", "the key 'version' stands here a second time"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "good", "bad", "where", "why"), MISTAKES)
def test_a_mistake_is_told_at_its_line_with_what_is_allowed(
    name: str, good: str, bad: str, where: str | None, why: str
) -> None:
    assert good in TEXTS[name]
    text = TEXTS[name].replace(good, bad, 1)
    told = refused(text)
    assert why in told
    at = line_of(text, where) if where else text.count("\n", 0, TEXTS[name].index(good)) + 1
    assert f"line {at}: " in told, told


def test_weights_that_would_not_be_exact_in_64_bits_are_refused() -> None:
    text = TEXTS["siemens"].replace("denominator: 18", "denominator: 900000")
    text = re.sub(r"weight: 2$", "weight: 100000", text, flags=re.MULTILINE)
    text = text.replace("weight: 3", "weight: 150000").replace("weight: 6", "weight: 300000")
    told = refused(text)
    assert "with `missing: spread_in_dimension` at most 40000000000000 is exact: give smaller weights" in told
    assert (
        parse_yaml(text.replace("spread_in_dimension", "spread"), ModelFile, name="mine").denominator
        == 900_000
    )


def test_a_file_of_ten_megabytes_is_refused_at_once() -> None:
    text = TEXTS["guide"] + "#" * 10_000_000
    begin = time.perf_counter()
    with pytest.raises(ConfigError) as mistake:
        parse_yaml(text, ModelFile, name="mine")
    assert f"mine: {len(text)} characters long; at most {FILE_BYTES_MAX} are read" in str(mistake.value)
    assert time.perf_counter() - begin < 1


def test_yes_and_no_are_text_and_true_is_not() -> None:
    text = TEXTS["value"]
    assert parse_yaml(
        text.replace('"yes"', "yes").replace('"no"', "no"), ModelFile, name="mine"
    ) == load_model("value")
    assert "valid string" in refused(text.replace('"yes": 4', "true: 4"))
