"""The reference page of everything that models, policies and consumers name, as Markdown."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

from schemas.catalogue import ACTIVITY_KINDS, FACTS, FEATURES, PAGE_KINDS, SOURCES, Fact, Source
from schemas.outputs import CLOUD_EVENT_TYPES
from schemas.policy import Rules
from schemas.reasons import (
    OPPORTUNITIES,
    CauseKind,
    EventNote,
    Missing,
    RejectReason,
    ResolvedBy,
    Rule,
    Severity,
    Status,
)
from schemas.topics import (
    CONTROL_TOPIC,
    DAY_MS,
    INPUT_TOPICS,
    MIB,
    OUTPUT_TOPICS,
    Output,
    TopicSpec,
    changelog_topic,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDTH: Final = 110

REJECTS: Final[dict[RejectReason, str]] = {
    RejectReason.EMPTY_VALUE: "the record has no value",
    RejectReason.VALUE_TOO_LARGE: "the value is longer than 1 MiB",
    RejectReason.NOT_JSON: "the value is not one well-formed UTF-8 JSON text",
    RejectReason.WRONG_TYPE: "a required field is missing, or a known field has a wrong type",
    RejectReason.BAD_ACCOUNT_ID: "`account_id` is empty, longer than 256 bytes, or has a control character",
    RejectReason.KEY_MISSING: "the record has no key: the producer must send `account_id` as the key",
    RejectReason.KEY_MISMATCH: "the key is not `account_id` as UTF-8",
    RejectReason.IMPLAUSIBLE_TIME: "`occurred_at` is before 1990 or after 2099: often seconds sent as milliseconds",
    RejectReason.WRONG_PARTITION: "the producer partitions otherwise: librdkafka needs `partitioner=murmur2_random`",
    RejectReason.TOO_MANY_ACCOUNTS: "of an account too many: the partition has `accounts_max` of the policy. Known ones go on",
}
NOTES: Final[dict[EventNote, str]] = {
    EventNote.FUTURE_CLAMPED: "it lay too far ahead of its record's timestamp and was set back to that",
    EventNote.UNKNOWN_VALUE: "its action or status is not known: it counts as an event, but belongs to no source",
    EventNote.DUPLICATE: "its id or natural key is remembered: nothing of it was applied",
    EventNote.LATE_FOR_RHYTHM: "its day is before the last active day: counted, but not part of the rhythm",
    EventNote.TOO_LATE: "its day is older than any window: not counted",
    EventNote.AMOUNT_LEFT_OUT: "no amount, or not in the account's first currency: counted, but not in sums",
    EventNote.ERASED: "its account was erased, at its time or shortly before: nothing of it was applied or kept",
    EventNote.MERGED: "its account was merged into another one, at its time or later: nothing of it was applied or kept",
}
RULES: Final[dict[Rule, str]] = {
    Rule.SILENCE: "silent for longer than the account's own rhythm explains, given a yearly budget of false alarms",
    Rule.DECLINE: "active on far fewer days a week than in the account's own weeks before, beyond chance",
    Rule.ABSOLUTE_SILENCE: "silent for longer than a plain cap in days",
    Rule.NEVER_STARTED: "never active, so many days after it became a customer",
    Rule.RISK_PAGE: "a cancel or refund page was visited; worse if repeated or by an administrator",
    Rule.PAYMENT_TROUBLE: "a payment is late, failed, was refunded or is disputed, and has not succeeded since",
    Rule.TICKET_TROUBLE: "far more tickets than usual, an escalated one, or one that stays unresolved",
    Rule.BAND_DROP: "the score of the policy's first model fell into a worse band, or by many points",
    Rule.USERS_LEAVING: "only a share of the users of the last months was active in the last weeks",
    Rule.REENGAGED: "active again on some days after a silence that was told",
    Rule.USAGE_SURGE: "far more activity than in the account's own weeks before",
    Rule.UPGRADE_INTEREST: "repeated visits to upgrade and pricing pages",
}
CAUSES: Final[dict[CauseKind, str]] = {
    CauseKind.EVENT: "an event of one of the four product inputs",
    CauseKind.TIME: "time alone: a local midnight, the end of a dwell, quiet or refractory time",
    CauseKind.EVIDENCE: "a fact that a model reads has expired",
    CauseKind.FACT: "an event of account-facts",
    CauseKind.MODEL: "another version of the model; not written in this version",
    CauseKind.OVERRIDE: "an event of account-facts that pins a score or releases it",
    CauseKind.MERGE: "the account took another one in",
}
STATUSES: Final[dict[Status, str]] = {
    Status.FIRING: "no reason was open, and one joined",
    Status.ESCALATED: "the severity rose",
    Status.RESOLVED: "no reason is left",
}
RESOLUTIONS: Final[dict[ResolvedBy, str]] = {
    ResolvedBy.ACTIVITY: "the account is active again",
    ResolvedBy.QUIET_PERIOD: "nothing more happened for the rule's quiet time",
    ResolvedBy.CONDITION_OVER: "the reason's condition does not hold any more",
    ResolvedBy.CLOSED: "the account was closed",
    ResolvedBy.POLICY: "another policy took hold, under which no reason holds",
    ResolvedBy.ERASED: "the account was erased; the message tells no reasons",
    ResolvedBy.RETIRED: "the account was closed or quiet for so long that it was dropped; the message tells no reasons",
    ResolvedBy.MERGED: "the account was merged into another one; the message tells no reasons",
}
MISSING: Final[dict[Missing, str]] = {
    Missing.NO_EVIDENCE: "nothing was told that it could be measured by, or not for long enough",
    Missing.WARMING_UP: "after a change of the policy or its models not every day of its window is known yet",
}


def page() -> str:
    """Return the page."""
    parts = [
        "# Catalogue",
        "What models, policies and consumers may name. This page is made from `schemas/` by\n"
        "`python -m agents.generate`; what each thing computes exactly is in [semantics.md](semantics.md).",
        *_for_models(),
        *_for_policies(),
        *_for_consumers(),
        *_topics(),
    ]
    return "\n\n".join(parts) + "\n"


def _for_models() -> list[str]:
    return [
        "## Sources",
        "Counted per account and local day. Of a `volume` source a young account's nothing says nothing; of an\n"
        "`incident` source nothing is good news from the first day.",
        _table(
            ("source", "kind", "counts", "what"),
            ((_code(s.name), _code(s.signal), _counted(s), s.what) for s in SOURCES),
        ),
        "## Features",
        "What a component of a model measures, with the arguments that it needs.",
        _table(
            ("feature", "unit", "needs", "what"),
            ((_code(f.name), f.unit, _codes(f.needs), f.what) for f in FEATURES),
        ),
        "## Facts",
        fill(
            "Facts that are read. Models may read them as `source` of the feature `fact`, except for "
            f"{_codes(fact.name for fact in FACTS if not fact.readable)}. Any other fact is kept and shown. A number beyond "
            "the range of a fact is as good as none. A fact that is told without `expires_at` expires by itself where the "
            "table says so: surveys and judgements grow old.",
            WIDTH,
        ),
        _table(
            ("fact", "values", "expires after", "what"),
            ((_code(f.name), _values(f), f"{f.days} d" if f.days else "", f.what) for f in FACTS),
        ),
    ]


def _counted(source: Source) -> str:
    kinds = [_code(kind.label) for kind in source.kinds]
    pages = [f"pages of kind {_code(kind)}" for kind in source.pages]
    tickets = [f"{_code('ticket_opened')} with a tag of kind {_code(kind)}" for kind in source.tags]
    return ", ".join(kinds + pages + tickets) or "what the policy lists under `activity`"


def _values(fact: Fact) -> str:
    """Return the categories of a fact, or the unit of a number and its range if the unit does not tell it."""
    spread = "{}..{}".format(*fact.range) if fact.range else ""
    return _codes(fact.values) or (fact.unit if spread in fact.unit else f"{fact.unit}, {spread}")


def _for_policies() -> list[str]:
    return [
        "## Activity and page kinds",
        fill(f"A policy may list under `activity`: {_codes(ACTIVITY_KINDS)}.", WIDTH),
        fill(f"It may give path patterns for pages of kind: {_codes(PAGE_KINDS)}.", WIDTH),
        "## Rules",
        fill(
            "Reasons of an alert episode, in their order in an alert. A rule that a policy does not name is off. "
            f"{_codes(rule.label for rule in OPPORTUNITIES)} are reasons of an episode of its own, of opportunity, "
            f"told in the topic {_code(Output.OPPORTUNITIES)}.",
            WIDTH,
        ),
        _table(
            ("rule", "condition", "settings and what they are unless set"),
            ((_code(rule.label), what, _rule_settings(rule)) for rule, what in RULES.items()),
        ),
        f"Severities, rising: {_codes(severity.label for severity in Severity)}.",
    ]


def _rule_settings(rule: Rule) -> str:
    options = get_args(Rules.model_fields[rule.label].annotation)
    model = next(part for part in options if issubclass(part, BaseModel))
    return ", ".join(f"`{name}: {setting.default}`" for name, setting in model.model_fields.items())


def _for_consumers() -> list[str]:
    return [
        "## Reject reasons",
        "Why a record is a dead letter (header `latido_reason`), in the order of the checks.",
        _meanings("reason", REJECTS),
        "## Notes",
        "What was remarkable about events that were accepted; counted, one event may carry several.",
        _meanings("note", NOTES),
        "## Causes of a score change",
        _meanings("kind", CAUSES),
        "## Status of an episode",
        _meanings("status", STATUSES),
        _meanings("resolved_by", RESOLUTIONS),
        "## Why a metric is missing",
        _meanings("missing", MISSING),
    ]


def _topics() -> list[str]:
    specs = [
        *INPUT_TOPICS.values(),
        *OUTPUT_TOPICS.values(),
        CONTROL_TOPIC,
        changelog_topic("<application_id>"),
    ]
    return [
        "## Topics",
        "Names follow `LATIDO_TOPIC_PREFIX`. A topic without a number has as many partitions as every input.",
        _table(
            ("topic", "key", "partitions", "cleanup", "kept", "largest record", "what"),
            (_topic_row(spec) for spec in specs),
        ),
        "Outputs carry the attributes of CloudEvents 1.0 in their headers, with this `ce_type`:",
        _table(
            ("topic", "ce_type"),
            ((_code(topic), _code(kind)) for topic, kind in CLOUD_EVENT_TYPES.items()),
        ),
    ]


def _topic_row(spec: TopicSpec) -> tuple[str, ...]:
    kept = "newest of each key" if spec.retention_ms is None else f"{spec.retention_ms // DAY_MS} days"
    partitions = "" if spec.partitions is None else str(spec.partitions)
    largest = f"{spec.max_message_bytes // MIB} MiB"
    return _code(spec.name), spec.key, partitions, spec.cleanup, kept, largest, spec.why


# -- Markdown -----------------------------------------------------------------------------------------------------


def _meanings(head: str, meanings: Mapping[Any, str]) -> str:
    return _table((head, "when"), ((_code(name), what) for name, what in meanings.items()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    ruler = "|" + "---|" * len(head)
    return "\n".join([_row(head), ruler, *map(_row, rows)])


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(name: str) -> str:
    return f"`{name}`"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(map(_code, names))
