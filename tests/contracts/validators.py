"""The schemas as consumers use them: validators by name, formats checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator

from schemas.events import EVENT_TYPES
from schemas.generate import json_schemas
from schemas.json_schema import kebab
from schemas.outputs import OUTPUT_TYPES
from schemas.topics import Input, Output

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMAS: Final = json_schemas()
INPUT_SCHEMAS: Final = {topic: kebab(EVENT_TYPES[topic].__name__) for topic in Input}
OUTPUT_SCHEMAS: Final = {topic: kebab(OUTPUT_TYPES[topic].__name__) for topic in OUTPUT_TYPES}
VALIDATORS: Final = {
    name: Draft202012Validator(tree, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for name, tree in SCHEMAS.items()
}


def mistakes(name: str, instance: Any) -> list[str]:
    """Return what is wrong with an instance, each with its place."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATORS[name].iter_errors(instance)]


def header_mistakes(topic: Output, headers: Mapping[str, bytes]) -> list[str]:
    """Return what is wrong with the headers of an output."""
    name = "dead-letter-headers" if topic is Output.DEAD_LETTERS else "cloud-event-headers"
    return mistakes(name, {key: value.decode() for key, value in headers.items()})
