"""The policy: everything that changes what comes out, in one file, hashed and versioned."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date  # noqa: TC003 - pydantic reads annotations
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from schemas.catalogue import ACTIVITY_INPUT, ACTIVITY_KINDS, KEY_FEATURES_MAX, PAGE_KINDS, TICKET_TAG_KINDS
from schemas.component import Exact, Name
from schemas.parts import MistakeAt, Strict, WrongPart
from schemas.words import Language  # noqa: TC001 - pydantic reads annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def _one_of(what: str, known: Sequence[str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; known: {', '.join(known)}")
        return name

    return check


def _hundredths(points: float) -> float:
    if Fraction(str(points)) * 100 % 1:
        raise ValueError(f"{points} has more than two decimals; daily scores are kept in hundredths")
    return points


def _zone_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_+\-/]{1,64}", name):
        raise ValueError(f"time_zone {name!r} is not a zone name such as Europe/Madrid")
    return name


def _listed_once(what: str, key: str, names: Sequence[str]) -> Iterator[MistakeAt]:
    seen = set[str]()
    for i, name in enumerate(names):
        with suppress(WrongPart):
            if name in seen:
                yield MistakeAt(f"the {what} {name!r} is listed twice; remove one of the two", key, i)
            seen.add(name)


Days = Annotated[int, Field(ge=1, le=3650, strict=True)]
Level = Literal["info", "warning", "critical"]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), Exact]
Ratio = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Exact]
Many = Annotated[int, Field(ge=1, le=60_000, strict=True)]
Window = Annotated[int, Field(ge=7, le=182, multiple_of=7, strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
ActivityKind = Annotated[str, AfterValidator(_one_of("activity", ACTIVITY_KINDS))]
PageKind = Annotated[str, AfterValidator(_one_of("page kind", PAGE_KINDS))]
ActiveInput = Annotated[str, AfterValidator(_one_of("input", sorted(set(ACTIVITY_INPUT.values()))))]
TagKind = Annotated[str, AfterValidator(_one_of("kind of tickets", TICKET_TAG_KINDS))]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKS_MAX = 52
"""Weeks of which the brake may know how often episodes fired."""
INFLOW_WEEKS_MAX, HOLD_DAYS_MAX = 8, 28
"""Weeks for which the hours of an input are kept."""
ACTIVE_DAYS_KEPT = 128
"""Days for which the set of active days is kept; windows of rules over it are shorter."""


Off = BeforeValidator(lambda value: None if value in (False, "off") else value)
"""What may be switched off by that word, which YAML takes for false."""


class Rhythm(Strict):
    """Gamma prior of the rate of gaps between active days, forgetting, and the longest gap that is learned.

    With ``unit`` hour the gaps are those between active hours; prior and horizon are still given in days.
    """

    prior_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 1.0
    prior_days: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 7.0
    forgetting: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.97
    horizon_days: Days = 90
    unit: Literal["day", "hour"] = "day"


class Calendar(Strict):
    """Days that do not count as silence: weekends and holidays."""

    weekend: Annotated[list[Weekday], Field(max_length=6)] = Field(default_factory=list)
    holidays: Annotated[list[date], Field(max_length=5000)] = Field(default_factory=list)


class SilenceRule(Strict):
    """An account still engaged would hardly be silent this long; the level is a yearly budget of false alarms."""

    severity: Level = "warning"
    false_alarms_per_year: Annotated[float, Field(gt=0, le=50, allow_inf_nan=False)] = 0.5
    refractory_days: Days = 7


class AbsoluteSilenceRule(Strict):
    """A plain cap in days, whatever the rhythm."""

    severity: Level = "critical"
    days: Days = 90
    refractory_days: Days = 7


class RiskPageRule(Strict):
    """A visit to a cancel or refund page; worse if repeated or by an administrator."""

    severity: Level = "info"
    repeated_severity: Level = "warning"
    quiet_days: Days = 14
    repeat_after_min: Annotated[int, Field(ge=0, le=10_080, strict=True)] = 30
    refractory_days: Days = 7


class DeclineRule(Strict):
    """Active days of the last weeks against those of the weeks before them, overdispersed."""

    severity: Level = "warning"
    weeks: Annotated[int, Field(ge=1, le=12, strict=True)] = 4
    baseline_weeks: Annotated[int, Field(ge=3, le=17, strict=True)] = 12
    active_days_min: Many = 12
    drop: Share = 0.5
    level: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 3.0
    phi_min: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.5
    refractory_days: Days = 28

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the check that so many days are kept."""
        return (self._kept(),)

    def _kept(self) -> Iterator[MistakeAt]:
        days = 7 * (self.weeks + self.baseline_weeks)
        if days > ACTIVE_DAYS_KEPT:
            yield MistakeAt(f"weeks and baseline_weeks span {days} days; at most {ACTIVE_DAYS_KEPT} are kept")


class NeverStartedRule(Strict):
    """No activity within so many days of becoming a customer."""

    severity: Level = "warning"
    days: Days = 14
    refractory_days: Days = 7


class PaymentTroubleRule(Strict):
    """A payment is late, failed, was refunded or disputed, and has not succeeded since."""

    severity: Level = "warning"
    late_days: Annotated[int, Field(ge=0, le=60, strict=True)] = 3
    quiet_days: Annotated[int, Field(ge=1, le=90, strict=True)] = 30
    refractory_days: Days = 7


class TicketTroubleRule(Strict):
    """Far more tickets than usual, an escalated one, or one that stays unresolved."""

    severity: Level = "warning"
    spike_ratio: Ratio = 3.0
    spike_min: Many = 5
    unresolved_days: Annotated[int, Field(ge=1, le=89, strict=True)] = 14
    refractory_days: Days = 7


class BandDropRule(Strict):
    """The first model's band has fallen, or its score by so many points, within so many days."""

    severity: Level = "warning"
    points: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), AfterValidator(_hundredths)] = 15.0
    days: Annotated[int, Field(ge=1, le=91, strict=True)] = 14
    refractory_days: Days = 7


class UsersLeavingRule(Strict):
    """Of the users active in ``of_days``, at most ``share`` were active in ``window_days``."""

    severity: Level = "warning"
    window_days: Window = 28
    of_days: Window = 91
    share: Share = 0.5
    users_min: Many = 5
    refractory_days: Days = 28

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the check that one window lies within the other."""
        return (self._nested(),)

    def _nested(self) -> Iterator[MistakeAt]:
        if self.of_days <= self.window_days:
            yield MistakeAt(f"of_days {self.of_days} must be longer than window_days {self.window_days}")


class ReengagedRule(Strict):
    """Active again on some days after a silence that was told."""

    severity: Level = "info"
    active_days: Annotated[int, Field(ge=1, le=91, strict=True)] = 3
    quiet_days: Annotated[int, Field(ge=1, le=91, strict=True)] = 14
    refractory_days: Days = 28

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the check that so many days are possible."""
        return (self._reachable(),)

    def _reachable(self) -> Iterator[MistakeAt]:
        if self.active_days > self.quiet_days:
            yield MistakeAt(
                f"active_days {self.active_days} cannot be reached in quiet_days {self.quiet_days}"
            )


class UsageSurgeRule(Strict):
    """Activity of the last days against the account's own days before."""

    severity: Level = "info"
    window_days: Window = 14
    baseline_days: Window = 42
    ratio: Ratio = 1.5
    events_min: Many = 50
    refractory_days: Days = 28


class UpgradeInterestRule(Strict):
    """Repeated visits to upgrade and pricing pages."""

    severity: Level = "info"
    visits: Many = 2
    window_days: Window = 14
    refractory_days: Days = 28


class Rules(Strict):
    """The rules in force; a rule that is absent or null is off."""

    silence: SilenceRule | None = None
    decline: DeclineRule | None = None
    absolute_silence: AbsoluteSilenceRule | None = None
    never_started: NeverStartedRule | None = None
    risk_page: RiskPageRule | None = None
    payment_trouble: PaymentTroubleRule | None = None
    ticket_trouble: TicketTroubleRule | None = None
    band_drop: BandDropRule | None = None
    users_leaving: UsersLeavingRule | None = None
    reengaged: ReengagedRule | None = None
    usage_surge: UsageSurgeRule | None = None
    upgrade_interest: UpgradeInterestRule | None = None


class RaiseSeverity(Strict):
    """What raises the severity by one: of disengagement a near renewal or value, of opportunity signs that come together."""

    renewal_within_days: Annotated[int, Field(ge=0, le=3650, strict=True)] | None = 90
    arr_from: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False), Exact] | None = None
    signs_together: Annotated[int, Field(ge=2, le=3, strict=True)] | None = None


class Brake(Strict):
    """How many episodes of a topic may fire in an hour of a partition: so many times the most of past weeks, or a floor."""

    factor: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False), Exact] = 4.0
    firings_min: Many = 20
    weeks: Annotated[int, Field(ge=1, le=WEEKS_MAX, strict=True)] = 8


class StalledSources(Strict):
    """Inputs of activity; while one of them delivers far less than at the same hours of past weeks, silences wait.

    It is judged by the last hours in which at least ``expected_min`` events are usual, at most a day: stalled if less than
    ``stalled_below`` of them came, back from ``back_from`` on, and ``settle_hours`` more nobody is told silent.
    """

    inputs: Annotated[list[ActiveInput], Field(min_length=1)] = Field(default_factory=lambda: ["logins"])
    expected_min: Many = 50
    stalled_below: Share = 0.1
    back_from: Share = 0.5
    settle_hours: Annotated[int, Field(ge=0, le=168, strict=True)] = 24
    hold_days: Annotated[int, Field(ge=1, le=HOLD_DAYS_MAX, strict=True)] = 7
    weeks: Annotated[int, Field(ge=1, le=INFLOW_WEEKS_MAX, strict=True)] = 6

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the checks that no input is listed twice, and that none is stalled and back at once."""
        return _listed_once("input", "inputs", self.inputs), self._apart()

    def _apart(self) -> Iterator[MistakeAt]:
        if self.back_from < self.stalled_below:
            yield MistakeAt(
                f"back_from {self.back_from} is below stalled_below {self.stalled_below}; an input would be both",
                "back_from",
            )


class Retire(Strict):
    """After how many days without an event an account is dropped: one that is closed, and any other; null: never."""

    closed_days: Days | None = None
    quiet_days: Days | None = None


class Policy(Strict):
    """One policy file."""

    policy: Name
    version: Annotated[int, Field(ge=1, strict=True)]
    models: Annotated[list[Name], Field(min_length=1, max_length=16)]
    shadow: Annotated[list[Name], Field(max_length=15)] = Field(default_factory=list)
    language: Language = "en"
    time_zone: Annotated[str, AfterValidator(_zone_name)] = "UTC"
    grace_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 120
    max_future_skew_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 300
    activity: Annotated[list[ActivityKind], Field(min_length=1)]
    pages: dict[PageKind, list[Text]] = Field(default_factory=dict)
    key_features: Annotated[dict[Name, list[Text]], Field(max_length=KEY_FEATURES_MAX)] = Field(
        default_factory=dict
    )
    ticket_tags: dict[TagKind, list[Text]] = Field(default_factory=dict)
    rhythm: Rhythm = Rhythm()
    calendar: Calendar | None = None
    rules: Rules = Rules()
    raise_severity: RaiseSeverity | None = None
    stalled_sources: Annotated[StalledSources | None, Off] = None
    brake: Annotated[Brake | None, Off] = None
    retire: Retire | None = None
    erased_days: Annotated[int, Field(ge=0, le=3650, strict=True)] = 30
    accounts_max: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] = 250_000

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the checks of calendar and rhythm, of models live and in shadow, and of the sources that may stall."""
        once = _listed_once("model", "models", self.models), _listed_once("model", "shadow", self.shadow)
        return *once, self._some_in_shadow(), self._days_or_hours(), self._sources_are_activity()

    @property
    def live(self) -> list[str]:
        """The models that count; those in shadow are only shown."""
        return [name for name in self.models if name not in self.shadow]

    def _some_in_shadow(self) -> Iterator[MistakeAt]:
        for i, name in enumerate(self.shadow):
            with suppress(WrongPart):
                if name not in self.models:
                    known = ", ".join(self.models[1:]) or "none, there is but one"
                    yield MistakeAt(
                        f"shadow names {name!r}, which is not in models; those that can be in shadow: {known}",
                        "shadow",
                        i,
                    )
                elif name == self.models[0]:
                    yield MistakeAt(
                        f"shadow names {name!r}, the first of models, on which band_drop and the headline rest; "
                        "let a live model be the first",
                        "shadow", i,
                    )  # fmt: skip

    def _days_or_hours(self) -> Iterator[MistakeAt]:
        if self.calendar is not None and self.rhythm.unit == "hour":
            yield MistakeAt("a calendar goes with `rhythm: {unit: day}`; remove one of the two", "calendar")

    def _sources_are_activity(self) -> Iterator[MistakeAt]:
        active = {ACTIVITY_INPUT[kind] for kind in self.activity}
        for i, name in enumerate(self.stalled_sources.inputs if self.stalled_sources is not None else ()):
            with suppress(WrongPart):
                if name not in active:
                    yield MistakeAt(
                        f"stalled_sources names {name}, and none of its events is activity; see activity",
                        "stalled_sources", "inputs", i,
                    )  # fmt: skip
