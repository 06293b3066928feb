"""Policy and model files as the auditor reads them: plain YAML trees to exact integers, defaults included."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any

from schemas.catalogue import FEATURE_BY_NAME, SOURCES, EventKind, Source
from schemas.reasons import Rule, Severity
from tests.auditor.exact import DAY_MS, scaled

WINDOWED = ("count", "active_days", "ratio")
FIRST_BAND_STARTS_AT = 0
ADDRESS_CHARACTERS_MAX = 2000
SCHEME_CHARACTERS = string.ascii_letters + string.digits + "+.-"


@dataclass(frozen=True)
class Component:
    """One component; the x of its anchors are in the feature's integer units, the y in thousandths of a point."""

    name: str
    weight: int
    feature: str
    source: str | None
    window: int
    lag: int
    curve: str
    anchors: tuple[tuple[int, int], ...]
    table: dict[str, int]


@dataclass(frozen=True)
class Band:
    name: str
    cut: int
    closed: str


@dataclass(frozen=True)
class Model:
    """One model; scores, cuts and margins are thousandths."""

    name: str
    version: int
    scale: list[int]
    denominator: int
    min_coverage: int
    kinds: tuple[str, ...]
    dimensions: tuple[tuple[str, tuple[Component, ...]], ...]
    bands: tuple[Band, ...]
    margin: int
    dwell_ms: int
    min_change: int

    @property
    def components(self) -> list[Component]:
        return [component for _, components in self.dimensions for component in components]


@dataclass(frozen=True)
class RuleSettings:
    """A rule in force. What it does not have stays at its default."""

    severity: Severity
    refractory_ms: int
    false_alarms_per_year: float = 0.0
    days: int = 0
    repeated_severity: Severity = Severity.INFO
    quiet_ms: int = 0
    repeat_after_ms: int = 0


@dataclass(frozen=True)
class Settings:
    """Everything that changes what comes out."""

    models: tuple[Model, ...]
    zone: str
    grace_ms: int
    future_skew_ms: int
    activity: frozenset[str]
    page_patterns: tuple[tuple[str, re.Pattern[str]], ...]
    prior_rate: float
    prior_days: float
    forgetting: float
    horizon_days: int
    rules: dict[Rule, RuleSettings]

    @property
    def facts_read(self) -> frozenset[str]:
        """Facts that a model in force reads: metrics, and the kind that decides whether it applies."""
        components = [component for model in self.models for component in model.components]
        return frozenset({"kind"} | {c.source for c in components if c.feature == "fact" and c.source})

    def days_kept(self, source: str) -> int | None:
        """Return the longest window + lag over a source, None if no window is over it."""
        spans = [
            component.window + component.lag
            for model in self.models
            for component in model.components
            if component.source == source and component.feature in WINDOWED
        ]
        return max(spans, default=None)

    def page_kinds(self, path: str) -> set[str]:
        """Return the kinds of a page; it may have several."""
        return {kind for kind, pattern in self.page_patterns if pattern.fullmatch(path)}

    def sources_of(self, kind: EventKind, pages: set[str]) -> list[Source]:
        """Return the sources that an event of this kind, on a page of these kinds, is counted in."""
        return [source for source in SOURCES if self._counts(source, kind, pages)]

    def _counts(self, source: Source, kind: EventKind, pages: set[str]) -> bool:
        if source.name == "activity":
            return kind.label in self.activity
        return kind in source.kinds or not pages.isdisjoint(source.pages)


def address_path(address: str) -> str:
    """Return the path of a page's address: from behind `scheme://host`, if it has one, to the first `?` or `#`."""
    ends = [at for at, character in enumerate(address[:ADDRESS_CHARACTERS_MAX]) if character in "?#"]
    path = address[: min([*ends, ADDRESS_CHARACTERS_MAX])]
    scheme, separator, rest = path.partition("://")
    if separator and scheme.isascii() and scheme[:1].isalpha() and not scheme.strip(SCHEME_CHARACTERS):
        path = rest[rest.index("/") :] if "/" in rest else ""
    return path or "/"


def read_settings(policy: dict[str, Any], models: dict[str, dict[str, Any]]) -> Settings:
    """Return the settings of a policy tree and of the model trees that it names."""
    rhythm = policy.get("rhythm") or {}
    pages: dict[str, list[str]] = policy.get("pages") or {}
    return Settings(
        models=tuple(read_model(models[name]) for name in policy["models"]),
        zone=policy.get("time_zone", "UTC"),
        grace_ms=policy.get("grace_s", 120) * 1000,
        future_skew_ms=policy.get("max_future_skew_s", 300) * 1000,
        activity=frozenset(policy["activity"]),
        page_patterns=tuple((kind, _pattern(text)) for kind, texts in pages.items() for text in texts),
        prior_rate=float(rhythm.get("prior_rate", 1.0)),
        prior_days=float(rhythm.get("prior_days", 7.0)),
        forgetting=float(rhythm.get("forgetting", 0.97)),
        horizon_days=rhythm.get("horizon_days", 90),
        rules=_read_rules(policy.get("rules") or {}),
    )


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def _read_rules(rules: dict[str, Any]) -> dict[Rule, RuleSettings]:
    found = {}
    if (silence := rules.get("silence")) is not None:
        found[Rule.SILENCE] = RuleSettings(
            **_common(silence, "warning"),
            false_alarms_per_year=float(silence.get("false_alarms_per_year", 0.5)),
        )
    if (absolute := rules.get("absolute_silence")) is not None:
        found[Rule.ABSOLUTE_SILENCE] = RuleSettings(
            **_common(absolute, "critical"), days=absolute.get("days", 90)
        )
    if (risk := rules.get("risk_page")) is not None:
        found[Rule.RISK_PAGE] = RuleSettings(
            **_common(risk, "info"),
            repeated_severity=Severity[risk.get("repeated_severity", "warning").upper()],
            quiet_ms=risk.get("quiet_days", 14) * DAY_MS,
            repeat_after_ms=risk.get("repeat_after_min", 30) * 60_000,
        )
    return found


def _common(rule: dict[str, Any], severity: str) -> dict[str, Any]:
    return {
        "severity": Severity[rule.get("severity", severity).upper()],
        "refractory_ms": rule.get("refractory_days", 7) * DAY_MS,
    }


def read_model(model: dict[str, Any]) -> Model:
    """Return a model from its YAML tree."""
    return Model(
        name=model["model"],
        version=model["version"],
        scale=list(model["scale"]),
        denominator=model["denominator"],
        min_coverage=scaled(model["min_coverage"], 1000),
        kinds=tuple(model["applies_to"]["kind"]),
        dimensions=tuple(
            (dimension["name"], tuple(_read_component(component) for component in dimension["components"]))
            for dimension in model["dimensions"]
        ),
        bands=tuple(
            Band(band["name"], scaled(band["from"], 1000), band["closed"]) for band in model["bands"]
        ),
        margin=scaled(model["hysteresis"], 1000),
        dwell_ms=model["dwell_h"] * 3_600_000,
        min_change=scaled(model["min_change"], 1000),
    )


def _read_component(component: dict[str, Any]) -> Component:
    metric = component["metric"]
    scale = FEATURE_BY_NAME[metric["feature"]].scale
    curve = next(name for name in ("ramp", "steps", "table") if component.get(name) is not None)
    anchors = [] if curve == "table" else component[curve]
    return Component(
        name=component["name"],
        weight=component["weight"],
        feature=metric["feature"],
        source=metric.get("source"),
        window=metric.get("window_days") or 0,
        lag=metric.get("lag_days") or 0,
        curve=curve,
        anchors=tuple((scaled(x, scale), scaled(y, 1000)) for x, y in anchors),
        table={name: scaled(y, 1000) for name, y in (component.get("table") or {}).items()},
    )
