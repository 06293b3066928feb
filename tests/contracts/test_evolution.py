"""Outputs are additive: what a consumer reads today is there tomorrow, under the same name.

``fields.json`` beside this file is kept by hand. A new field is added to it; nothing is ever taken out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from schemas.events import EVENT_TYPES
from schemas.json_schema import components
from schemas.outputs import WRITTEN_TYPES

PROMISED: Final[dict[str, list[str]]] = json.loads(Path(__file__).with_name("fields.json").read_text())
WRITTEN: Final = components(WRITTEN_TYPES, written=True)
FIELDS: Final = {name: list(tree["properties"]) for name, tree in WRITTEN.items() if "properties" in tree}
"""The field names of all outputs and of what they hold, by class name."""


@pytest.mark.parametrize("name", PROMISED)
def test_no_field_is_removed_renamed_or_moved(name: str) -> None:
    present = [field for field in FIELDS.get(name, []) if field in PROMISED[name]]
    assert present == PROMISED[name], f"{name}: consumers read these fields; add a new one instead"


@pytest.mark.parametrize("name", FIELDS)
def test_a_new_field_is_promised_from_now_on(name: str) -> None:
    assert set(FIELDS[name]) <= set(PROMISED.get(name, [])), f"add the new fields of {name} to fields.json"


@pytest.mark.parametrize("name", FIELDS)
def test_a_promised_field_is_always_written(name: str) -> None:
    assert WRITTEN[name]["required"] == FIELDS[name]


def test_inputs_and_outputs_share_no_definition() -> None:
    assert not components(list(EVENT_TYPES.values()), written=False).keys() & WRITTEN.keys()
