"""The AsyncAPI 3.0 document of an application: every topic, what is read and written there, and its shape."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from schemas.control import CONTROL_TYPES
from schemas.events import EVENT_TYPES
from schemas.examples import CONTROL_EXAMPLES, INPUT_EXAMPLES, OUTPUT_EXAMPLES
from schemas.json_schema import Tree, components
from schemas.outputs import (
    CLOUD_EVENT_TYPES,
    OUTPUT_TYPES,
    SCHEMA_VERSION,
    WRITTEN_TYPES,
    CloudEventHeaders,
    DeadLetterHeaders,
    RetriedHeaders,
)
from schemas.topics import (
    CONTROL_TOPIC,
    INPUT_TOPICS,
    OUTPUT_TOPICS,
    Input,
    Output,
    TopicSpec,
    changelog_topic,
)

BINDING_VERSION: Final = "0.5.0"
BYTES: Final = "application/octet-stream"
DEAD_LETTER: Final = "DeadLetter"
RETRIED: Final = "RetriedNote"
CHANGELOG_RECORD: Final = "ChangelogRecord"
CHANGELOG: Final = "accounts-changelog"
CONTROL_CHANNEL: Final = "control"
DESCRIPTION: Final = (
    "Scores business customers from their product events as they happen. All inputs have the same partition count and "
    "are partitioned by Kafka's default (murmur2 of the key). Outputs are written in transactions: read them with "
    "`isolation.level=read_committed` and each is there exactly once. Unknown fields are to be ignored by either side; "
    "outputs only ever gain fields. Delivery semantics, rules and scores: docs/semantics.md."
)


def document() -> Tree:
    """Return the document as a tree."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "latido",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": _schemas(),
            "messages": _messages(),
            "parameters": {
                "topic_prefix": {"description": "LATIDO_TOPIC_PREFIX; empty unless set.", "default": ""},
                "application_id": {"description": "LATIDO_APPLICATION_ID.", "default": "latido"},
            },
        },
    }


def _server() -> Tree:
    return {
        "host": "{broker}",
        "protocol": "kafka",
        "description": "The Kafka cluster of all topics.",
        "variables": {"broker": {"default": "localhost:9092", "description": "LATIDO_BROKER"}},
    }


# -- channels -----------------------------------------------------------------------------------------------------


def _channels() -> Tree:
    inputs = {spec.name: _channel(spec, EVENT_TYPES[topic].__name__) for topic, spec in INPUT_TOPICS.items()}
    outputs = {spec.name: _channel(spec, *_output_messages(topic)) for topic, spec in OUTPUT_TOPICS.items()}
    changelog = changelog_topic("{application_id}")
    internal = {
        CONTROL_CHANNEL: _channel(CONTROL_TOPIC, *CONTROL_EXAMPLES),
        CHANGELOG: _channel(changelog, CHANGELOG_RECORD) | {"x-internal": True},
    }
    return {**inputs, **outputs, **internal}


def _channel(spec: TopicSpec, *messages: str) -> Tree:
    address = f"{{topic_prefix}}{spec.name}"
    parameters = re.findall(r"{(\w+)}", address)
    return {
        "address": address,
        "title": spec.name,
        "description": _sentence(spec.why),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in parameters},
        "bindings": {"kafka": _channel_binding(spec)},
    }


def _channel_binding(spec: TopicSpec) -> Tree:
    follows = spec.partitions is None
    partitions = {"x-partitions": "as many as every input"} if follows else {"partitions": spec.partitions}
    configuration: Tree = {"cleanup.policy": [spec.cleanup], "max.message.bytes": spec.max_message_bytes}
    if spec.retention_ms is not None:
        configuration["retention.ms"] = spec.retention_ms
    return {
        **partitions,
        "topicConfiguration": configuration,
        "x-key": spec.key,
        "bindingVersion": BINDING_VERSION,
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# -- operations ---------------------------------------------------------------------------------------------------


def _operations() -> Tree:
    read = {f"receive-{spec.name}": _operation("receive", spec.name) for spec in INPUT_TOPICS.values()}
    written = {f"send-{spec.name}": _operation("send", spec.name) for spec in OUTPUT_TOPICS.values()}
    both = ((action, channel) for channel in (CONTROL_CHANNEL, CHANGELOG) for action in ("receive", "send"))
    recovered = {f"{action}-{channel}": _operation(action, channel) for action, channel in both}
    return {**read, **written, **recovered}


def _operation(action: str, channel: str) -> Tree:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


# -- messages and schemas -----------------------------------------------------------------------------------------


def _messages() -> Tree:
    read = {EVENT_TYPES[topic].__name__: _input_message(topic) for topic in Input}
    control = {name: _message(name, name, example) for name, example in CONTROL_EXAMPLES.items()}
    written = {_body_message(topic): _written(topic) for topic in OUTPUT_TYPES}
    bytes_only = {DEAD_LETTER: _dead_letter(), RETRIED: _retried(), CHANGELOG_RECORD: _changelog_record()}
    return {**read, **control, **written, **bytes_only}


def _output_messages(topic: Output) -> list[str]:
    return [DEAD_LETTER, RETRIED] if topic is Output.DEAD_LETTERS else [_body_message(topic)]


_ALSO: Final = {Output.OPPORTUNITIES: "Opportunity", Output.SHADOW_SCORES: "ShadowScoreChange"}
"""Messages of a type that has one already, by topic."""


def _body_message(topic: Output) -> str:
    return _ALSO.get(topic, OUTPUT_TYPES[topic].__name__)


def _input_message(topic: Input) -> Tree:
    return _message(EVENT_TYPES[topic].__name__, EVENT_TYPES[topic].__name__, INPUT_EXAMPLES[topic])


def _written(topic: Output) -> Tree:
    example = msgspec.to_builtins(OUTPUT_EXAMPLES[topic])
    headers = {
        "allOf": [
            _schema_reference(CloudEventHeaders.__name__),
            {"type": "object", "properties": {"ce_type": {"const": CLOUD_EVENT_TYPES[topic]}}},
        ]
    }
    return {"headers": headers, **_message(_body_message(topic), OUTPUT_TYPES[topic].__name__, example)}


def _message(name: str, schema: str, example: Any) -> Tree:
    return {
        "name": name,
        "payload": _schema_reference(schema),
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": BINDING_VERSION}},
        "examples": [{"payload": example}],
    }


def _dead_letter() -> Tree:
    return {
        "name": DEAD_LETTER,
        "summary": "The key and value of the rejected record; headers say why, where it lies and how long it was.",
        "contentType": BYTES,
        "headers": _schema_reference(DeadLetterHeaders.__name__),
        "payload": {"description": "The bytes of the rejected record's value, at most 15 MiB of them."},
    }


def _retried() -> Tree:
    return {
        "name": RETRIED,
        "summary": "A note of `latido dead-letters retry`: this letter was sent to its input again.",
        "contentType": BYTES,
        "headers": _schema_reference(RetriedHeaders.__name__),
        "payload": {"type": "null"},
    }


def _changelog_record() -> Tree:
    return {
        "name": CHANGELOG_RECORD,
        "summary": "State of the application itself; its layout may change with any version.",
        "contentType": BYTES,
        "payload": {"description": "Bytes."},
    }


def _schemas() -> Tree:
    return {
        **components([*EVENT_TYPES.values(), *CONTROL_TYPES], written=False),
        **components(WRITTEN_TYPES, written=True),
    }


def _schema_reference(name: str) -> Tree:
    return {"$ref": f"#/components/schemas/{name}"}
