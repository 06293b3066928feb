"""An alert episode of one account: reasons join and leave, the severity only rises, and what of it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from schemas.reasons import ResolvedBy, Rule, Severity, Status
from tests.auditor.case import Case, Evidence, FirstModel
from tests.auditor.conditions import evidence, holds, severity

if TYPE_CHECKING:
    from tests.auditor.metrics import Moment
    from tests.auditor.rule_settings import RuleSettings

TOLD_WHEN_JOINED = {Rule.SILENCE, Rule.ABSOLUTE_SILENCE}
RESOLVED_BY = {
    Rule.SILENCE: ResolvedBy.ACTIVITY,
    Rule.ABSOLUTE_SILENCE: ResolvedBy.ACTIVITY,
    Rule.NEVER_STARTED: ResolvedBy.ACTIVITY,
    Rule.RISK_PAGE: ResolvedBy.QUIET_PERIOD,
}
"""What ends a reason; any other ends because its condition is over."""


class Held(StrEnum):
    """What is not told yet of an open episode; `QUIET` is not told before a reason joins or the severity rises."""

    QUIET = "quiet"
    ESCALATED = "escalated"
    FIRING = "firing"


UNHEARD = {Held.QUIET, Held.FIRING}
"""Of an episode of which this is held nobody has heard."""


class Opened(NamedTuple):
    since_ms: int
    evidence: Evidence


class Message(NamedTuple):
    """What goes out of one evaluation."""

    status: Status
    severity: Severity
    since_ms: int
    ordinal: int
    reasons: list[tuple[Rule, Opened]]
    resolved_by: ResolvedBy | None


@dataclass
class Episode:
    """The open reasons of one account, and when each rule joined last.

    Attributes:
        rules: those in force whose reasons join this episode.
        held: what is not told yet; None if nothing.
    """

    rules: dict[Rule, RuleSettings]
    open: dict[Rule, Opened] = field(default_factory=dict)
    joined_at_ms: dict[Rule, int] = field(default_factory=dict)
    since_ms: int = 0
    ordinal: int = 0
    severity: Severity = Severity.INFO
    held: Held | None = None

    @property
    def is_unheard(self) -> bool:
        """Tell whether nobody has heard of the episode."""
        return self.held in UNHEARD

    @property
    def waits_for_unmuting(self) -> bool:
        """Tell whether something is to be told as soon as alerts are not muted."""
        return self.held in {Held.FIRING, Held.ESCALATED}

    def evaluate(self, at: Moment, first: FirstModel, *, is_muted: bool = False) -> Message | None:
        """Judge every rule at an instant and return what has to be said."""
        cases = {rule: Case(numbers, at, first, rule in self.open) for rule, numbers in self.rules.items()}
        holding = [rule for rule, case in cases.items() if holds(rule, case)]
        before = self.open
        self.open = {rule: opened for rule, opened in before.items() if rule in holding}
        for rule in holding:
            if rule not in self.open and self._may_join(rule, at.now_ms):
                self.open[rule] = Opened(at.now_ms, evidence(rule, cases[rule]))
                self.joined_at_ms[rule] = at.now_ms
        due = self._due(before, cases, at.now_ms)
        told = self._told(due, joins=not self.open.keys() <= before.keys(), is_muted=is_muted)
        if told is None:
            return None
        return self._say(told, before if told is Status.RESOLVED else self.open, cases, at)

    def _may_join(self, rule: Rule, now_ms: int) -> bool:
        joined_at_ms = self.joined_at_ms.get(rule)
        return joined_at_ms is None or now_ms >= joined_at_ms + self.rules[rule].refractory_ms

    def _due(self, before: dict[Rule, Opened], cases: dict[Rule, Case], now_ms: int) -> Status | None:
        """Return what would have to be said if nothing were ever muted."""
        if not self.open:
            return Status.RESOLVED if before else None
        worst = max(severity(rule, cases[rule]) for rule in self.open)
        if not before:
            self.since_ms, self.severity = now_ms, worst
            self.ordinal += 1
            return Status.FIRING
        if worst > self.severity:
            self.severity = worst
            return Status.ESCALATED
        return None

    def _told(self, due: Status | None, *, joins: bool, is_muted: bool) -> Status | None:
        """Return what is said of what is due; while alerts are muted it is held, with what was held before."""
        if due is Status.RESOLVED:
            return None if self.end_unheard() else due
        if (due is Status.ESCALATED and self.is_unheard) or (joins and self.held is Held.QUIET):
            due = Status.FIRING
        if due is None and self.held is not None and self.waits_for_unmuting:
            due = Status(self.held)
        if due is None:
            return None
        self.held = Held(due) if is_muted else None
        return None if is_muted else due

    def end_unheard(self) -> bool:
        """Let nothing be held any more; return whether nobody has heard of the episode."""
        was_unheard, self.held = self.is_unheard, None
        return was_unheard

    def _say(
        self, status: Status, reasons: dict[Rule, Opened], cases: dict[Rule, Case], at: Moment
    ) -> Message:
        listed = [(rule, _as_it_stands(rule, reasons[rule], cases[rule])) for rule in sorted(reasons)]
        resolved_by = None
        if status is Status.RESOLVED:
            of_the_first = RESOLVED_BY.get(listed[0][0], ResolvedBy.CONDITION_OVER)
            resolved_by = ResolvedBy.CLOSED if at.history.is_closed(at.now_ms) else of_the_first
        return Message(status, self.severity, self.since_ms, self.ordinal, listed, resolved_by)


def _as_it_stands(rule: Rule, opened: Opened, case: Case) -> Opened:
    """Return a reason with the evidence to show."""
    return opened if rule in TOLD_WHEN_JOINED else Opened(opened.since_ms, evidence(rule, case))
