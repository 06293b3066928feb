"""Every Kafka topic as data: name, key, cleanup, retention and why.

The five inputs of one application are co-partitioned: equal partition counts, one partitioner, keyed by
account. ``Input`` is an integer enumeration because its value is the *rank* that breaks ties between inputs
in the merge order (see ``docs/semantics.md``).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
TOMBSTONES_MS: Final = DAY_MS
"""For so long a compacted topic keeps what says that a key was deleted, at least."""
COMPACTED_WITHIN_MS: Final = 7 * DAY_MS
"""For so long a compacted topic that `latido topics create` made keeps what was replaced or deleted, at most."""


class Input(IntEnum):
    """An input stream; the value is its rank in the merge order."""

    ACCOUNT_FACTS = 0
    LOGINS = 1
    TICKETS = 2
    PAYMENTS = 3
    PAGE_VISITS = 4


class Output(StrEnum):
    """An output stream, by its topic name without prefix."""

    SCORE_CHANGES = "score-changes"
    SHADOW_SCORES = "shadow-scores"
    DISENGAGEMENTS = "disengagements"
    OPPORTUNITIES = "opportunities"
    ACCOUNTS = "accounts"
    OPERATIONS = "operations"
    DEAD_LETTERS = "dead-letters"


CONTROL: Final = "latido-control"


class TopicSpec(NamedTuple):
    """One topic as it is created and checked.

    ``partitions`` is the number of a topic that does not follow the inputs' partition count (``None``: it does).
    ``retention_ms`` is ``None`` for a compacted topic.
    """

    name: str
    key: str
    cleanup: str
    retention_ms: int | None
    max_message_bytes: int
    why: str
    partitions: int | None = None


MIB: Final = 1 << 20

INPUT_TOPICS: Final[dict[Input, TopicSpec]] = {
    Input.ACCOUNT_FACTS: TopicSpec(
        "account-facts",
        "account_id",
        "delete",
        90 * DAY_MS,
        MIB,
        "what is known of an account beside its behaviour; the newest value of a fact wins",
    ),
    Input.LOGINS: TopicSpec(
        "logins",
        "account_id",
        "delete",
        14 * DAY_MS,
        MIB,
        "log-ins of an account's users",
    ),
    Input.TICKETS: TopicSpec(
        "tickets",
        "account_id",
        "delete",
        14 * DAY_MS,
        MIB,
        "support tickets, one record per action",
    ),
    Input.PAYMENTS: TopicSpec(
        "payments",
        "account_id",
        "delete",
        14 * DAY_MS,
        MIB,
        "payments, one record per change of status",
    ),
    Input.PAGE_VISITS: TopicSpec(
        "page-visits",
        "account_id",
        "delete",
        14 * DAY_MS,
        MIB,
        "pages and features that users visit",
    ),
}
INPUT_BY_NAME: Final = {spec.name: topic for topic, spec in INPUT_TOPICS.items()}

OUTPUT_TOPICS: Final[dict[Output, TopicSpec]] = {
    Output.SCORE_CHANGES: TopicSpec(
        Output.SCORE_CHANGES,
        "account_id",
        "delete",
        90 * DAY_MS,
        MIB,
        "a material change of one score",
    ),
    Output.SHADOW_SCORES: TopicSpec(
        Output.SHADOW_SCORES,
        "account_id",
        "delete",
        90 * DAY_MS,
        MIB,
        "the same of models in shadow, on which nothing rests yet",
    ),
    Output.DISENGAGEMENTS: TopicSpec(
        Output.DISENGAGEMENTS,
        "account_id",
        "delete",
        90 * DAY_MS,
        MIB,
        "alert episodes: firing, escalated, resolved",
    ),
    Output.OPPORTUNITIES: TopicSpec(
        Output.OPPORTUNITIES,
        "account_id",
        "delete",
        90 * DAY_MS,
        MIB,
        "the same for good news",
    ),
    Output.ACCOUNTS: TopicSpec(
        Output.ACCOUNTS,
        "account_id",
        "compact",
        None,
        MIB,
        "the current view of each account; read models follow it and are rebuilt from it",
    ),
    Output.OPERATIONS: TopicSpec(
        Output.OPERATIONS,
        "what it is about",
        "delete",
        90 * DAY_MS,
        MIB,
        "what operators should know of a partition: alerts wait, a source is stalled",
    ),
    Output.DEAD_LETTERS: TopicSpec(
        Output.DEAD_LETTERS,
        "account_id if known",
        "delete",
        14 * DAY_MS,
        16 * MIB,
        "records that could not be judged: the untouched bytes (64 KiB of a key, 15 MiB of a value), the reason, where from; "
        "and notes of those that were retried",
    ),
}

CONTROL_TOPIC: Final = TopicSpec(
    CONTROL,
    "kind and id",
    "compact",
    None,
    MIB,
    "what changes for the whole application, and when: another policy, alerts paused, resumed or beginning, halted inputs that "
    "go on; read by every worker",
    partitions=1,
)


def changelog_topic(application_id: str) -> TopicSpec:
    """Return the changelog of the account table of an application."""
    return TopicSpec(
        f"{application_id}-accounts-changelog",
        "account_id",
        "compact",
        None,
        MIB,
        "the account table: rows, positions, holder keys, memory of ids",
    )
