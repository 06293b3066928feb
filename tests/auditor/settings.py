"""Policy and model files as the auditor reads them: plain YAML trees to exact integers, defaults included."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from schemas.catalogue import FEATURE_BY_NAME, OVERRIDE_PREFIX, SOURCES, EventKind, Source
from schemas.reasons import Rule
from tests.auditor.ends import Ends, read_ends
from tests.auditor.exact import scaled
from tests.auditor.rhythm import RhythmSettings, read_rhythm
from tests.auditor.rule_settings import RuleSettings, read_rules

WINDOWED = ("count", "active_days", "ratio", "decayed")
SPIKE_DAYS = 35
NO_ENDS = read_ends({})
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
    of_days: int
    half_life: int
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

    @property
    def pin(self) -> str:
        """Name of the fact that pins the score."""
        return f"{OVERRIDE_PREFIX}{self.name}"

    @property
    def component_pins(self) -> list[str]:
        """Names of the facts that pin the points of each component."""
        return [f"{self.pin}.{component.name}" for component in self.components]


@dataclass(frozen=True)
class Settings:
    """Everything that changes what comes out."""

    models: tuple[Model, ...]
    zone: str
    grace_ms: int
    future_skew_ms: int
    activity: frozenset[str]
    page_patterns: tuple[tuple[str, re.Pattern[str]], ...]
    key_features: dict[str, list[re.Pattern[str]]]
    ticket_tags: dict[str, list[str]]
    rhythm: RhythmSettings
    rules: dict[Rule, RuleSettings]
    renewal_within_days: int | None = None
    arr_from: int | None = None
    ends: Ends = NO_ENDS
    shadow: tuple[str, ...] = ()

    @property
    def components(self) -> list[Component]:
        return [component for model in self.models for component in model.components]

    def reads(self, *features: str) -> bool:
        """Tell whether a model in force reads one of these features."""
        return any(component.feature in features for component in self.components)

    @cached_property
    def facts_read(self) -> list[str]:
        """Names of the facts that a model or a rule in force reads."""
        names = {"kind", "time_zone"} | {c.source or "" for c in self.components if c.feature == "fact"}
        if self.reads("user_share"):
            names.add("seats")
        if self.reads("first_use") or Rule.NEVER_STARTED in self.rules:
            names.add("customer_since")
        if self.renewal_within_days is not None:
            names.add("renewal_date")
        if self.arr_from is not None:
            names.add("arr")
        pins = [model.pin for model in self.models]
        return sorted(names) + pins + [name for model in self.models for name in model.component_pins]

    @cached_property
    def counts_kept(self) -> dict[str, int]:
        """Days for which counts are kept, of each source that a window is over."""
        spans = [(c.source or "", c.window + c.lag) for c in self.components if c.feature in WINDOWED]
        if Rule.TICKET_TROUBLE in self.rules:
            spans.append(("tickets_opened", SPIKE_DAYS))
        if (surge := self.rules.get(Rule.USAGE_SURGE)) is not None:
            spans.append(("activity", surge["window_days"] + surge["baseline_days"]))
        if (upgrade := self.rules.get(Rule.UPGRADE_INTEREST)) is not None:
            spans.append(("upgrade_pages", upgrade["window_days"]))
        return _longest(spans)

    @cached_property
    def sums_kept(self) -> dict[str, int]:
        """Days for which sums are kept, of each source that a sum is over."""
        return _longest([(c.source or "", c.window) for c in self.components if c.feature == "sum"])

    @cached_property
    def weeks_kept(self) -> dict[str, int]:
        """Weeks for which a measurement is kept, of each that a mean is over."""
        return _longest([(c.source or "", c.window // 7) for c in self.components if c.feature == "mean"])

    @property
    def keeps_active_days(self) -> bool:
        """Tell whether a rule in force reads the set of active days."""
        return not self.rules.keys().isdisjoint({Rule.DECLINE, Rule.REENGAGED})

    def page_kinds(self, path: str) -> set[str]:
        """Return the kinds of a page; it may have several."""
        return {kind for kind, pattern in self.page_patterns if pattern.fullmatch(path)}

    def key_features_used(self, path: str | None, feature: str | None) -> set[str]:
        """Return the key features that a visit to a path, if it has one, and of a named feature uses."""
        by_path = {
            name
            for name, patterns in self.key_features.items()
            if path is not None and any(pattern.fullmatch(path) for pattern in patterns)
        }
        return by_path | ({feature} & self.key_features.keys() if feature is not None else set())

    def tag_kinds(self, tags: list[str]) -> set[str]:
        """Return the kinds of a ticket that is opened with these tags."""
        return {kind for kind, known in self.ticket_tags.items() if set(tags) & set(known)}

    def is_activity(self, kind: EventKind) -> bool:
        return kind.label in self.activity

    def sources_of(self, kind: EventKind, pages: frozenset[str], tags: frozenset[str]) -> list[Source]:
        """Return the sources of an event of this kind, on a page or of a ticket of these kinds."""
        return [source for source in SOURCES if self._counts(source, kind, pages, tags)]

    def _counts(self, source: Source, kind: EventKind, pages: frozenset[str], tags: frozenset[str]) -> bool:
        if source.name == "activity":
            return self.is_activity(kind)
        return kind in source.kinds or bool(pages & set(source.pages)) or bool(tags & set(source.tags))


def _longest(spans: list[tuple[str, int]]) -> dict[str, int]:
    return {name: max(span for other, span in spans if other == name) for name, _ in spans}


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
    pages: dict[str, list[str]] = policy.get("pages") or {}
    raises = policy.get("raise_severity")
    arr_from = None if raises is None else raises.get("arr_from")
    return Settings(
        ends=read_ends(policy),
        models=tuple(read_model(models[name]) for name in policy["models"]),
        zone=policy.get("time_zone", "UTC"),
        grace_ms=policy.get("grace_s", 120) * 1000,
        future_skew_ms=policy.get("max_future_skew_s", 300) * 1000,
        activity=frozenset(policy["activity"]),
        page_patterns=tuple((kind, _pattern(text)) for kind, texts in pages.items() for text in texts),
        key_features={
            name: [_pattern(text) for text in texts]
            for name, texts in (policy.get("key_features") or {}).items()
        },
        ticket_tags=policy.get("ticket_tags") or {},
        rhythm=read_rhythm(policy.get("rhythm") or {}, policy.get("calendar")),
        rules=read_rules(policy.get("rules") or {}),
        renewal_within_days=None if raises is None else raises.get("renewal_within_days", 90),
        arr_from=None if arr_from is None else scaled(arr_from, 1000),
        shadow=tuple(policy.get("shadow") or ()),
    )


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


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
        of_days=metric.get("of_days") or 0,
        half_life=metric.get("half_life_days") or 0,
        curve=curve,
        anchors=tuple((scaled(x, scale), scaled(y, 1000)) for x, y in anchors),
        table={name: scaled(y, 1000) for name, y in (component.get("table") or {}).items()},
    )
