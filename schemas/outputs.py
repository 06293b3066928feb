"""The outputs as msgspec structs: field order is the order on the wire, and fields are only ever added.

Every field is always written, ``null`` where there is nothing to say. Times are RFC 3339 UTC with milliseconds,
scores are decimals with three places. The structs are immutable and made by keywords.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from schemas.events import FactValue
from schemas.evidence import Reason
from schemas.reasons import CauseKind, Missing, RejectReason, ResolvedBy, Status, Trouble
from schemas.topics import MIB, Output
from schemas.wire import (
    Count,
    Identifier,
    InputName,
    Points,
    SeverityName,
    Share,
    Time,
    Version,
)

SCHEMA_VERSION: Final = 1


Cell = Annotated[
    str,
    Meta(
        pattern="^[A-Z][1-9]$",
        description="cell of a model with a grid: letter of the first axis, digit of the second",
    ),
]


class Cause(Struct, frozen=True, kw_only=True, gc=False):
    """What made a score change; without an event all but ``kind`` are null. ``topic`` has no prefix."""

    kind: CauseKind
    topic: InputName | None
    event_id: str | None
    partition: Count | None
    offset: Count | None


class Level(Struct, frozen=True, kw_only=True, gc=False):
    """A score and its band. Without enough evidence the score is null, its coverage is still told."""

    score: Points | None
    band: str
    coverage: Share


class DimensionChange(Struct, frozen=True, kw_only=True, gc=False):
    """A dimension's points before and after."""

    name: str
    old: Points | None
    new: Points | None


Signed = Annotated[float, Meta(ge=-100, le=100)]
"""Points that may be negative: only those of ``override`` are."""


class Contribution(Struct, frozen=True, kw_only=True, gc=False):
    """A component's share of the score before and after; null counts as 0 in ``delta``, so the deltas add up.

    ``override`` is what manual judgement adds to the evidence; it is last, and only there if there is one.
    """

    component: str
    old: Signed | None
    new: Signed | None
    delta: Annotated[float, Meta(ge=-200, le=200)]


class ScoreChange(Struct, frozen=True, kw_only=True, gc=False):
    """A material change of one score of an account, compared with the last one sent; ``summary`` tells it to people."""

    schema_version: Version = SCHEMA_VERSION
    change_id: Identifier
    account_id: str
    model: str
    model_version: Version
    cause: Cause
    effective_at: Time
    old: Level
    new: Level
    scale: tuple[int, int]
    grid: Cell | None
    dimensions: list[DimensionChange]
    contributions: list[Contribution]
    summary: str


class Disengagement(Struct, frozen=True, kw_only=True, gc=False):
    """A step of an account's episode, of disengagement or (in its own topic) of opportunity: it fires, rises or is resolved.

    At most one episode of each is open; rules are reasons that join it. ``reasons`` are the open ones, of a
    resolved episode those that were open until now. ``value`` is the score of the model ``value``.
    """

    schema_version: Version = SCHEMA_VERSION
    alert_id: Identifier
    episode_id: Identifier
    account_id: str
    status: Status
    severity: SeverityName
    effective_at: Time
    since: Time
    reasons: list[Reason]
    value: Points | None
    owner: FactValue
    summary: str
    resolved_by: ResolvedBy | None


class DimensionScore(Struct, frozen=True, kw_only=True, gc=False):
    """A dimension's points."""

    name: str
    score: Points | None


class ComponentScore(Struct, frozen=True, kw_only=True, gc=False):
    """A component's share of the score; null if its metric is missing or there is no score.

    ``missing`` says why a metric is missing: nothing tells it, or after a change of what is kept of accounts not all of its
    window is known yet. ``override`` is what manual judgement adds to the evidence; it is last, and only there if there is one.
    """

    name: str
    contribution: Signed | None
    missing: Missing | None


class ModelScore(Struct, frozen=True, kw_only=True, gc=False):
    """The present score of one model; ``service`` is what its band entitles to, if the model says so."""

    model: str
    version: Version
    score: Points | None
    scale: tuple[int, int]
    band: str
    coverage: Share
    grid: Cell | None
    dimensions: list[DimensionScore]
    components: list[ComponentScore]
    service: str | None


class Episode(Struct, frozen=True, kw_only=True, gc=False):
    """An open episode as it stands; ``topic`` is where its messages go.

    ``told`` is false while none was sent: alerts are paused, or a change of policy alone opened it.
    """

    episode_id: Identifier
    topic: Annotated[str, Meta(extra_json_schema={"enum": [Output.DISENGAGEMENTS, Output.OPPORTUNITIES]})]
    since: Time
    severity: SeverityName
    reasons: list[Reason]
    told: bool


class AccountView(Struct, frozen=True, kw_only=True, gc=False):
    """All that is known of an account now; ``next_change_at`` is when time alone may change it next.

    ``shadow`` are the scores of models in shadow: they are shown, and nothing rests on them.
    """

    schema_version: Version = SCHEMA_VERSION
    account_id: str
    as_of: Time
    scores: list[ModelScore]
    episodes: list[Episode]
    facts: dict[str, FactValue]
    next_change_at: Time | None
    shadow: list[ModelScore]


class Operation(Struct, frozen=True, kw_only=True, gc=False):
    """Trouble of a partition begins (``firing``) or ends (``resolved``); it is no account's.

    ``brake``: more episodes fire than may in an hour, and wait. ``subject`` is their topic, ``limit`` how many may be sent in
    the hour, ``count`` how many have been held since. ``stalled_source``: an input delivers far less than at the same hours of
    past weeks. ``subject`` is its topic, ``limit`` how many events are usual, ``count`` how many came.
    """

    schema_version: Version = SCHEMA_VERSION
    operation_id: Identifier
    kind: Trouble
    subject: str
    partition: Count
    status: Annotated[Status, Meta(extra_json_schema={"enum": [Status.FIRING, Status.RESOLVED]})]
    effective_at: Time
    since: Time
    limit: Count
    count: Count


class CloudEventHeaders(Struct, frozen=True, kw_only=True, gc=False):
    """The CloudEvents 1.0 attributes of an output, as UTF-8 text in the record's headers."""

    ce_specversion: Annotated[str, Meta(extra_json_schema={"const": "1.0"})]
    ce_id: Identifier
    ce_type: str
    ce_source: str
    ce_time: Time


class DeadLetterHeaders(Struct, frozen=True, kw_only=True, gc=False):
    """Why a record was rejected and where it lies, as UTF-8 text in the dead letter's headers.

    A dead letter has no body of its own: its key and value are the untouched bytes of the rejected record (a record
    without a value has an empty one), cut to what the topic takes: 64 KiB of a key, 15 MiB of a value.
    ``latido_topic`` has no prefix.
    """

    latido_reason: RejectReason
    latido_detail: Annotated[str, Meta(description="what is wrong, at most 1,000 bytes")]
    latido_topic: InputName
    latido_partition: Annotated[str, Meta(pattern="^[0-9]+$")]
    latido_offset: Annotated[str, Meta(pattern="^[0-9]+$")]
    latido_key_bytes: Annotated[
        str, Meta(pattern="^[0-9]+$", description="length of the record's key, uncut")
    ]
    latido_value_bytes: Annotated[str, Meta(pattern="^[0-9]+$", description="length of its value, uncut")]


class RetriedHeaders(Struct, frozen=True, kw_only=True, gc=False):
    """A note in the topic of dead letters: one of them was sent to its input again, in the transaction of this note.

    The note has the key that was sent and no value. What was sent has the same header, besides those of the rejected record.
    """

    latido_retried_from: Annotated[
        str, Meta(pattern="^[0-9]+@[0-9]+$", description="partition@offset of the dead letter")
    ]


RETRIED_FROM: Final = "latido_retried_from"
DEAD_LETTER_KEY_BYTES_MAX: Final = 64 * 1024
DEAD_LETTER_VALUE_BYTES_MAX: Final = 15 * MIB
"""A record may be longer than its topic's limit, which counts compressed bytes; the dead letter must still fit."""


OUTPUT_TYPES: Final[dict[Output, type[Struct]]] = {
    Output.SCORE_CHANGES: ScoreChange,
    Output.SHADOW_SCORES: ScoreChange,
    Output.DISENGAGEMENTS: Disengagement,
    Output.OPPORTUNITIES: Disengagement,
    Output.ACCOUNTS: AccountView,
    Output.OPERATIONS: Operation,
}
"""The body of each output topic that has one; a dead letter is the rejected record itself."""

CLOUD_EVENT_TYPES: Final[dict[Output, str]] = {
    Output.SCORE_CHANGES: f"latido.score-change.v{SCHEMA_VERSION}",
    Output.SHADOW_SCORES: f"latido.shadow-score-change.v{SCHEMA_VERSION}",
    Output.DISENGAGEMENTS: f"latido.disengagement.v{SCHEMA_VERSION}",
    Output.OPPORTUNITIES: f"latido.opportunity.v{SCHEMA_VERSION}",
    Output.ACCOUNTS: f"latido.account.v{SCHEMA_VERSION}",
    Output.OPERATIONS: f"latido.operation.v{SCHEMA_VERSION}",
}
"""The ``ce_type`` of each of them."""

WRITTEN_TYPES: Final[tuple[type[Struct], ...]] = (
    *dict.fromkeys(OUTPUT_TYPES.values()),
    CloudEventHeaders,
    DeadLetterHeaders,
    RetriedHeaders,
)
"""All shapes that are written: bodies, and headers as if they were one object."""
