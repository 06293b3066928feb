"""The rules of a policy as the auditor reads them: defaults of their numbers, decimals as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.reasons import Rule, Severity
from tests.auditor.exact import DAY_MS, scaled

NUMBERS: dict[Rule, dict[str, Any]] = {
    Rule.SILENCE: {"severity": "warning", "false_alarms_per_year": 0.5, "refractory_days": 7},
    Rule.DECLINE: {
        "severity": "warning",
        "weeks": 4,
        "baseline_weeks": 12,
        "active_days_min": 12,
        "drop": 0.5,
        "level": 3.0,
        "phi_min": 0.5,
        "refractory_days": 28,
    },
    Rule.ABSOLUTE_SILENCE: {"severity": "critical", "days": 90, "refractory_days": 7},
    Rule.NEVER_STARTED: {"severity": "warning", "days": 14, "refractory_days": 7},
    Rule.RISK_PAGE: {
        "severity": "info",
        "repeated_severity": "warning",
        "quiet_days": 14,
        "repeat_after_min": 30,
        "refractory_days": 7,
    },
    Rule.PAYMENT_TROUBLE: {"severity": "warning", "late_days": 3, "quiet_days": 30, "refractory_days": 7},
    Rule.TICKET_TROUBLE: {
        "severity": "warning",
        "spike_ratio": 3,
        "spike_min": 5,
        "unresolved_days": 14,
        "refractory_days": 7,
    },
    Rule.BAND_DROP: {"severity": "warning", "points": 15, "days": 14, "refractory_days": 7},
    Rule.USERS_LEAVING: {
        "severity": "warning",
        "window_days": 28,
        "of_days": 91,
        "share": 0.5,
        "users_min": 5,
        "refractory_days": 28,
    },
    Rule.REENGAGED: {"severity": "info", "active_days": 3, "quiet_days": 14, "refractory_days": 28},
    Rule.USAGE_SURGE: {
        "severity": "info",
        "window_days": 14,
        "baseline_days": 42,
        "ratio": 1.5,
        "events_min": 50,
        "refractory_days": 28,
    },
    Rule.UPGRADE_INTEREST: {"severity": "info", "visits": 2, "window_days": 14, "refractory_days": 28},
}
"""The numbers of each rule, where a policy does not say otherwise."""
UNITS = {"drop": 1000, "spike_ratio": 1000, "points": 100, "share": 1000, "ratio": 1000}
"""What one is in the integer unit of a decimal number."""


@dataclass(frozen=True)
class RuleSettings:
    """A rule in force, its numbers by name: decimals in the integer unit of the rule."""

    severity: Severity
    refractory_ms: int
    numbers: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.numbers[name]


def read_rules(rules: dict[str, Any]) -> dict[Rule, RuleSettings]:
    """Return the rules that are named, in their order."""
    return {rule: _read_rule(rule, rules[rule.label]) for rule in Rule if rules.get(rule.label) is not None}


def _read_rule(rule: Rule, told: dict[str, Any]) -> RuleSettings:
    numbers = NUMBERS[rule] | told
    severity, refractory_ms = Severity[numbers["severity"].upper()], numbers["refractory_days"] * DAY_MS
    in_units = {name: scaled(numbers[name], unit) for name, unit in UNITS.items() if name in numbers}
    return RuleSettings(severity, refractory_ms, numbers | in_units)
