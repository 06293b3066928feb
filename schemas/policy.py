"""The policy: everything that changes what comes out, in one file, hashed and versioned."""

from __future__ import annotations

import re
from datetime import date  # noqa: TC003 - pydantic reads annotations
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.catalogue import ACTIVITY_KINDS, KEY_FEATURES_MAX, PAGE_KINDS, TICKET_TAG_KINDS
from schemas.model_file import Exact, Name, Strict
from schemas.words import Language  # noqa: TC001 - pydantic reads annotations

Days = Annotated[int, Field(ge=1, le=3650, strict=True)]
Level = Literal["info", "warning", "critical"]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), Exact]
Ratio = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False), Exact]
Many = Annotated[int, Field(ge=1, le=60_000, strict=True)]
Window = Annotated[int, Field(ge=7, le=182, multiple_of=7, strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
ACTIVE_DAYS_KEPT = 128
"""Days for which the set of active days is kept; windows of rules over it are shorter."""


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

    @model_validator(mode="after")
    def _kept(self) -> Self:
        days = 7 * (self.weeks + self.baseline_weeks)
        if days > ACTIVE_DAYS_KEPT:
            raise ValueError(
                f"weeks and baseline_weeks span {days} days; at most {ACTIVE_DAYS_KEPT} are kept"
            )
        return self


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
    points: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 15.0
    days: Annotated[int, Field(ge=1, le=91, strict=True)] = 14
    refractory_days: Days = 7

    @field_validator("points")
    @classmethod
    def _hundredths(cls, points: float) -> float:
        if Fraction(str(points)) * 100 % 1:
            raise ValueError(f"{points} has more than two decimals; daily scores are kept in hundredths")
        return points


class UsersLeavingRule(Strict):
    """Of the users active in ``of_days``, at most ``share`` were active in ``window_days``."""

    severity: Level = "warning"
    window_days: Window = 28
    of_days: Window = 91
    share: Share = 0.5
    users_min: Many = 5
    refractory_days: Days = 28

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if self.of_days <= self.window_days:
            raise ValueError(f"of_days {self.of_days} must be longer than window_days {self.window_days}")
        return self


class ReengagedRule(Strict):
    """Active again on some days after a silence that was told."""

    severity: Level = "info"
    active_days: Annotated[int, Field(ge=1, le=91, strict=True)] = 3
    quiet_days: Annotated[int, Field(ge=1, le=91, strict=True)] = 14
    refractory_days: Days = 28

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.active_days > self.quiet_days:
            raise ValueError(
                f"active_days {self.active_days} cannot be reached in quiet_days {self.quiet_days}"
            )
        return self


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


class Retire(Strict):
    """After how many days without an event an account is dropped: one that is closed, and any other; null: never."""

    closed_days: Days | None = None
    quiet_days: Days | None = None


class Policy(Strict):
    """One policy file."""

    policy: Name
    version: Annotated[int, Field(ge=1, strict=True)]
    models: Annotated[list[Name], Field(min_length=1, max_length=16)]
    language: Language = "en"
    time_zone: str = "UTC"
    grace_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 120
    max_future_skew_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 300
    activity: Annotated[list[str], Field(min_length=1)]
    pages: dict[str, list[Text]] = Field(default_factory=dict)
    key_features: Annotated[dict[Name, list[Text]], Field(max_length=KEY_FEATURES_MAX)] = Field(
        default_factory=dict
    )
    ticket_tags: dict[str, list[Text]] = Field(default_factory=dict)
    rhythm: Rhythm = Rhythm()
    calendar: Calendar | None = None
    rules: Rules = Rules()
    raise_severity: RaiseSeverity | None = None
    retire: Retire | None = None
    erased_days: Annotated[int, Field(ge=0, le=3650, strict=True)] = 30
    accounts_max: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] = 250_000

    @field_validator("activity")
    @classmethod
    def _known_activity(cls, kinds: list[str]) -> list[str]:
        for kind in kinds:
            if kind not in ACTIVITY_KINDS:
                raise ValueError(f"unknown activity {kind!r}; known: {', '.join(ACTIVITY_KINDS)}")
        return kinds

    @field_validator("pages")
    @classmethod
    def _known_pages(cls, pages: dict[str, list[str]]) -> dict[str, list[str]]:
        for kind in pages:
            if kind not in PAGE_KINDS:
                raise ValueError(f"unknown page kind {kind!r}; known: {', '.join(PAGE_KINDS)}")
        return pages

    @field_validator("ticket_tags")
    @classmethod
    def _known_tags(cls, tags: dict[str, list[str]]) -> dict[str, list[str]]:
        for kind in tags:
            if kind not in TICKET_TAG_KINDS:
                raise ValueError(f"unknown kind of tickets {kind!r}; known: {', '.join(TICKET_TAG_KINDS)}")
        return tags

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.calendar and self.rhythm.unit == "hour":
            raise ValueError("a calendar goes with `rhythm: {unit: day}`; remove one of the two")
        if len(set(self.models)) != len(self.models):
            raise ValueError("a model is listed twice under models")
        if not re.fullmatch(r"[A-Za-z0-9_+\-/]{1,64}", self.time_zone):
            raise ValueError(f"time_zone {self.time_zone!r} is not a zone name such as Europe/Madrid")
        return self
