"""The AsyncAPI document is valid by the official schema, and describes every topic and only these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft7Validator

from agents.topics import all_topics
from schemas import asyncapi
from schemas.topics import INPUT_TOPICS, OUTPUT_TOPICS, TopicSpec

DOCUMENT: Final = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text())
OFFICIAL: Final = Draft7Validator(json.loads(Path(__file__).with_name("asyncapi-3.0.0.json").read_text()))
PREFIX: Final = "{topic_prefix}"
TOPICS: Final = all_topics("{application_id}")
WITHOUT_EXAMPLE: Final = {"DeadLetter", "RetriedNote", "ChangelogRecord"}


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def resolve(reference: str) -> Any:
    node = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def by_topic() -> dict[str, Any]:
    return {channel["address"].removeprefix(PREFIX): channel for channel in DOCUMENT["channels"].values()}


def test_it_is_valid_by_the_official_schema() -> None:
    assert [f"{error.json_path}: {error.message}" for error in OFFICIAL.iter_errors(DOCUMENT)] == []


def test_the_official_schema_refuses_a_wrong_document() -> None:
    assert list(OFFICIAL.iter_errors(DOCUMENT | {"operations": {"receive-logins": {"action": "listen"}}}))


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert found
    for reference in found:
        assert resolve(reference), reference


def test_every_schema_is_used_and_is_a_valid_schema_of_draft_7() -> None:
    used = set(references(DOCUMENT))
    for name, tree in DOCUMENT["components"]["schemas"].items():
        assert f"#/components/schemas/{name}" in used, f"{name} is not used"
        Draft7Validator.check_schema(tree)


@pytest.mark.parametrize("spec", TOPICS, ids=lambda spec: spec.name)
def test_a_topic_is_described_as_it_is_created(spec: TopicSpec) -> None:
    binding = by_topic()[spec.name]["bindings"]["kafka"]
    created = binding["topicConfiguration"]
    assert created["cleanup.policy"] == [spec.cleanup]
    assert created.get("retention.ms") == spec.retention_ms
    assert created["max.message.bytes"] == spec.max_message_bytes
    assert binding.get("partitions") == spec.partitions


def test_no_channel_is_without_a_topic() -> None:
    assert by_topic().keys() == {spec.name for spec in TOPICS}


def test_inputs_and_control_are_received_and_outputs_sent() -> None:
    operations = {
        (operation["action"], operation["channel"]["$ref"].removeprefix("#/channels/"))
        for operation in DOCUMENT["operations"].values()
    }
    read = {("receive", spec.name) for spec in INPUT_TOPICS.values()}
    written = {("send", spec.name) for spec in OUTPUT_TOPICS.values()}
    both = (asyncapi.CHANGELOG, asyncapi.CONTROL_CHANNEL)
    assert operations == read | written | {(action, each) for action in ("receive", "send") for each in both}


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_the_example_of_a_message_validates_here_too(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    validator = Draft7Validator({"allOf": [message["payload"]], "components": DOCUMENT["components"]})
    examples = message.get("examples", [])
    assert bool(examples) != (name in WITHOUT_EXAMPLE)
    for example in examples:
        assert [error.message for error in validator.iter_errors(example["payload"])] == []
        broken = dict.fromkeys(example["payload"])
        assert list(validator.iter_errors(broken)), "the payload's schema is really looked at"
