"""Enumerations of everything that is decided: each member is a metric label, a log field and an alert field."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from functools import cached_property, lru_cache
from typing import Final


class RejectReason(StrEnum):
    """Why a record became a dead letter; the order is the order of the checks, the last of which is made in the merge order."""

    EMPTY_VALUE = "empty_value"
    VALUE_TOO_LARGE = "value_too_large"
    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    BAD_ACCOUNT_ID = "bad_account_id"
    KEY_MISSING = "key_missing"
    KEY_MISMATCH = "key_mismatch"
    IMPLAUSIBLE_TIME = "implausible_time"
    WRONG_PARTITION = "wrong_partition"
    TOO_MANY_ACCOUNTS = "too_many_accounts"


class EventNote(StrEnum):
    """What is remarkable about an accepted event; one event may carry several."""

    FUTURE_CLAMPED = "future_clamped"
    UNKNOWN_VALUE = "unknown_value"
    DUPLICATE = "duplicate"
    LATE_FOR_RHYTHM = "late_for_rhythm"
    TOO_LATE = "too_late"
    AMOUNT_LEFT_OUT = "amount_left_out"
    ERASED = "erased"
    MERGED = "merged"


class CauseKind(StrEnum):
    """What made a score change."""

    EVENT = "event"
    TIME = "time"
    EVIDENCE = "evidence"
    FACT = "fact"
    MODEL = "model"
    OVERRIDE = "override"
    MERGE = "merge"


class Rule(IntEnum):
    """A reason of an episode; the value is its bit in the open mask and its place in an alert."""

    SILENCE = 0
    DECLINE = 1
    ABSOLUTE_SILENCE = 2
    NEVER_STARTED = 3
    RISK_PAGE = 4
    PAYMENT_TROUBLE = 5
    TICKET_TROUBLE = 6
    BAND_DROP = 7
    USERS_LEAVING = 8
    REENGAGED = 9
    USAGE_SURGE = 10
    UPGRADE_INTEREST = 11

    @cached_property
    def label(self) -> str:
        """Return the name used on the wire."""
        return self.name.lower()


@lru_cache(1 << len(Rule))
def rules_in(mask: int) -> tuple[Rule, ...]:
    """Return the rules whose bits are set, in rule order."""
    return tuple(rule for rule in Rule if mask >> rule & 1)


OPPORTUNITIES: Final = (Rule.REENGAGED, Rule.USAGE_SURGE, Rule.UPGRADE_INTEREST)
"""Reasons of the episode of good news; all others are of the episode of disengagement."""


class Status(StrEnum):
    """Status of an episode's message."""

    FIRING = "firing"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Trouble(StrEnum):
    """What operators are told of a partition."""

    BRAKE = "brake"
    STALLED_SOURCE = "stalled_source"


class Severity(IntEnum):
    """Severity of an episode, in rising order."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    @cached_property
    def label(self) -> str:
        """Return the name used on the wire."""
        return self.name.lower()


class ResolvedBy(StrEnum):
    """What ended the last reason of an episode."""

    ACTIVITY = "activity"
    QUIET_PERIOD = "quiet_period"
    CONDITION_OVER = "condition_over"
    CLOSED = "closed"
    POLICY = "policy"
    ERASED = "erased"
    RETIRED = "retired"
    MERGED = "merged"


class Missing(StrEnum):
    """Why a component's metric is missing."""

    NO_EVIDENCE = "no_evidence"
    WARMING_UP = "warming_up"


class Merged(StrEnum):
    """What became of a control record that makes two accounts one."""

    ENDED = "ended"
    NOT_THERE = "not_there"
    SAME = "same"
    TOO_LARGE = "too_large"
    JOINED = "joined"
    RENAMED = "renamed"
    ERASED = "erased"


class SnapshotRefusal(StrEnum):
    """Why a snapshot file is not used, and the whole changelog is read."""

    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    OTHER_LAYOUT = "other_layout"
    FOREIGN = "foreign"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NOT_IN_LOG = "not_in_log"


INSUFFICIENT_EVIDENCE = "insufficient_evidence"
NOT_APPLICABLE = "not_applicable"
