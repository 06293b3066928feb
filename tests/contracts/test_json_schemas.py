"""The JSON Schemas are valid, take what latido takes, and refuse what it refuses for its shape."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from agents.program import shipped
from schemas.events import EVENT_TYPES
from schemas.examples import INPUT_EXAMPLES, OUTPUT_EXAMPLES
from schemas.outputs import OUTPUT_TYPES
from schemas.topics import Input, Output
from tests.contracts.validators import INPUT_SCHEMAS, OUTPUT_SCHEMAS, SCHEMAS, mistakes

FOLDERS: Final = {"model": "models", "policy": "policies"}


def as_written(topic: Output) -> Any:
    return msgspec.json.decode(msgspec.json.encode(OUTPUT_EXAMPLES[topic]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_valid_schema_and_says_which(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert SCHEMAS[name]["description"]


@pytest.mark.parametrize("topic", Input)
def test_the_example_of_an_input_validates_and_is_decoded(topic: Input) -> None:
    example = INPUT_EXAMPLES[topic]
    assert mistakes(INPUT_SCHEMAS[topic], example) == []
    msgspec.json.decode(msgspec.json.encode(example), type=EVENT_TYPES[topic])


@pytest.mark.parametrize("topic", Input)
def test_an_input_may_have_fields_that_are_not_known(topic: Input) -> None:
    assert mistakes(INPUT_SCHEMAS[topic], {**INPUT_EXAMPLES[topic], "shoe_size": 43}) == []


@pytest.mark.parametrize("broken", [{"account_id": 7}, {"event_id": None}, {"occurred_at": 1.5}], ids=str)
@pytest.mark.parametrize("topic", Input)
def test_schema_and_decoder_refuse_the_same_wrong_types(topic: Input, broken: dict[str, Any]) -> None:
    instance = INPUT_EXAMPLES[topic] | broken
    assert mistakes(INPUT_SCHEMAS[topic], instance)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(instance), type=EVENT_TYPES[topic])


@pytest.mark.parametrize("topic", OUTPUT_EXAMPLES)
def test_the_example_of_an_output_validates_and_is_read_back_equal(topic: Output) -> None:
    encoded = msgspec.json.encode(OUTPUT_EXAMPLES[topic])
    assert mistakes(OUTPUT_SCHEMAS[topic], msgspec.json.decode(encoded)) == []
    assert msgspec.json.decode(encoded, type=OUTPUT_TYPES[topic]) == OUTPUT_EXAMPLES[topic]


@pytest.mark.parametrize("topic", OUTPUT_EXAMPLES)
def test_an_output_has_every_field(topic: Output) -> None:
    whole = as_written(topic)
    for field in whole:
        rest = {name: value for name, value in whole.items() if name != field}
        assert mistakes(OUTPUT_SCHEMAS[topic], rest), f"{field} may be missing"


def test_evidence_goes_with_its_rule() -> None:
    alert = as_written(Output.DISENGAGEMENTS)
    alert["reasons"][0]["rule"] = "risk_page"
    assert mistakes(OUTPUT_SCHEMAS[Output.DISENGAGEMENTS], alert)


@pytest.mark.parametrize(
    "wrong", ["2026-03-28T00:00:00Z", "2026-03-28T00:00:00.000+00:00", 1_774_656_000_000]
)
def test_a_time_that_is_written_has_one_form(wrong: object) -> None:
    alert = as_written(Output.DISENGAGEMENTS) | {"since": wrong}
    assert mistakes(OUTPUT_SCHEMAS[Output.DISENGAGEMENTS], alert)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, folder in FOLDERS.items() for name in shipped(folder)]
)
def test_a_shipped_file_validates(kind: str, name: str) -> None:
    content = yaml.safe_load(shipped(FOLDERS[kind])[name].read_text(encoding="utf-8"))
    assert mistakes(kind, content) == []
    assert mistakes(kind, content | {"colour": "red"}), "an unknown key is a mistake"
