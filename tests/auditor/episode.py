"""The alert episode of one account: reasons join and leave, the severity only rises."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, isinf
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.reasons import ResolvedBy, Rule, Severity, Status
from tests.auditor.exact import rfc3339

if TYPE_CHECKING:
    from tests.auditor.score import Moment
    from tests.auditor.settings import RuleSettings

Evidence = dict[str, Any]
DAYS_A_YEAR = 365.25
RESOLVED_BY = {
    Rule.SILENCE: ResolvedBy.ACTIVITY,
    Rule.ABSOLUTE_SILENCE: ResolvedBy.ACTIVITY,
    Rule.RISK_PAGE: ResolvedBy.QUIET_PERIOD,
}


class Held(NamedTuple):
    """A rule whose condition holds: its own severity and its evidence as of now."""

    severity: Severity
    evidence: Evidence


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


def silence_limit_days(rule: RuleSettings, at: Moment) -> tuple[float, float]:
    """Return s*, and the probability with which a gap of this account outlasts it."""
    rhythm, settings = at.history.rhythm(), at.history.settings
    probability = min(rule.false_alarms_per_year * at.history.usual_gap_days() / DAYS_A_YEAR, 0.5)
    shape = settings.prior_rate + rhythm.n
    try:
        limit = (settings.prior_days + rhythm.gaps_days) * (probability ** (-1 / shape) - 1)
    except OverflowError:
        limit = float("inf")
    return limit, probability


def condition(rule: Rule, settings: RuleSettings, at: Moment) -> Held | None:
    """Return what a rule finds at an instant, None if its condition does not hold."""
    if at.history.is_closed(at.now_ms):
        return None
    if rule is Rule.RISK_PAGE:
        return _risk_page(settings, at)
    if not at.history.active:
        return None
    return _silence(settings, at) if rule is Rule.SILENCE else _absolute_silence(settings, at)


def _silent_for_s(at: Moment) -> int:
    return (at.now_ms - at.history.last_active_ms) // 1000


def _silence(rule: RuleSettings, at: Moment) -> Held | None:
    limit, probability = silence_limit_days(rule, at)
    if isinf(limit) or at.day < at.history.last_active_day + floor(limit) + 1:
        return None
    evidence = {
        "silent_for_s": _silent_for_s(at),
        "usual_gap_s": floor(86_400 * at.history.usual_gap_days() + 0.5),
        "gaps_known": at.history.rhythm().gaps,
        "probability": floor(1e9 * probability + 0.5) / 1e9,
        "false_alarms_per_year": rule.false_alarms_per_year,
    }
    return Held(rule.severity, evidence)


def _absolute_silence(rule: RuleSettings, at: Moment) -> Held | None:
    if at.day < at.history.last_active_day + rule.days + 1:
        return None
    return Held(rule.severity, {"silent_for_s": _silent_for_s(at), "limit_days": rule.days})


def _risk_page(rule: RuleSettings, at: Moment) -> Held | None:
    visits = at.history.risk_visits(rule.quiet_ms, rule.repeat_after_ms)
    if visits is None or at.now_ms >= visits.last_ms + rule.quiet_ms:
        return None
    is_worse = visits.visits >= 2 or visits.admin
    return Held(rule.repeated_severity if is_worse else rule.severity, _risk_evidence(rule, at))


def _risk_evidence(rule: RuleSettings, at: Moment) -> Evidence:
    visits = at.history.risk_visits(rule.quiet_ms, rule.repeat_after_ms)
    assert visits is not None
    return {"visits": visits.visits, "last_visit_at": rfc3339(visits.last_ms), "admin": visits.admin}


@dataclass
class Episode:
    """The open reasons of one account, and when each rule joined last."""

    rules: dict[Rule, RuleSettings]
    open: dict[Rule, Opened] = field(default_factory=dict)
    joined_at_ms: dict[Rule, int] = field(default_factory=dict)
    since_ms: int = 0
    ordinal: int = 0
    severity: Severity = Severity.INFO

    def evaluate(self, at: Moment) -> Message | None:
        """Judge every rule at an instant and return what has to be said."""
        held = {rule: condition(rule, settings, at) for rule, settings in self.rules.items()}
        before = dict(self.open)
        self.open = {rule: opened for rule, opened in before.items() if held[rule] is not None}
        for rule, found in held.items():
            if found is not None and rule not in self.open and self._may_join(rule, at.now_ms):
                self.open[rule] = Opened(at.now_ms, found.evidence)
                self.joined_at_ms[rule] = at.now_ms
        return self._message(before, held, at)

    def _may_join(self, rule: Rule, now_ms: int) -> bool:
        joined_at_ms = self.joined_at_ms.get(rule)
        return joined_at_ms is None or now_ms >= joined_at_ms + self.rules[rule].refractory_ms

    def _message(
        self, before: dict[Rule, Opened], held: dict[Rule, Held | None], at: Moment
    ) -> Message | None:
        worst = max(
            (found.severity for rule, found in held.items() if found and rule in self.open), default=None
        )
        if worst is None:
            return self._say(Status.RESOLVED, before, at) if before else None
        if not before:
            self.since_ms, self.severity = at.now_ms, worst
            self.ordinal += 1
            return self._say(Status.FIRING, self.open, at)
        if worst > self.severity:
            self.severity = worst
            return self._say(Status.ESCALATED, self.open, at)
        return None

    def _say(self, status: Status, reasons: dict[Rule, Opened], at: Moment) -> Message:
        listed = [(rule, self._as_it_stands(rule, reasons[rule], at)) for rule in sorted(reasons)]
        resolved_by = None
        if status is Status.RESOLVED:
            resolved_by = ResolvedBy.CLOSED if at.history.is_closed(at.now_ms) else RESOLVED_BY[listed[0][0]]
        return Message(status, self.severity, self.since_ms, self.ordinal, listed, resolved_by)

    def _as_it_stands(self, rule: Rule, opened: Opened, at: Moment) -> Opened:
        """Return a reason with the evidence to show: visits as they stand, the rest as it joined."""
        if rule is Rule.RISK_PAGE:
            return Opened(opened.since_ms, _risk_evidence(self.rules[rule], at))
        return opened
