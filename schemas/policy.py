"""The policy: everything that changes what comes out, in one file, hashed and versioned."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.catalogue import ACTIVITY_KINDS, PAGE_KINDS
from schemas.model_file import Name, Strict

Days = Annotated[int, Field(ge=1, le=3650, strict=True)]
Level = Literal["info", "warning", "critical"]


class Rhythm(Strict):
    """Gamma prior of the rate of gaps between active days, forgetting, and the longest gap that is learned."""

    prior_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 1.0
    prior_days: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 7.0
    forgetting: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.97
    horizon_days: Days = 90


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


class Rules(Strict):
    """The rules in force; a rule that is absent or null is off."""

    silence: SilenceRule | None = None
    absolute_silence: AbsoluteSilenceRule | None = None
    risk_page: RiskPageRule | None = None


class Policy(Strict):
    """One policy file."""

    policy: Name
    version: Annotated[int, Field(ge=1, strict=True)]
    models: Annotated[list[Name], Field(min_length=1, max_length=16)]
    time_zone: str = "UTC"
    grace_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 120
    max_future_skew_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 300
    activity: Annotated[list[str], Field(min_length=1)]
    pages: dict[str, list[Annotated[str, Field(min_length=1, max_length=200)]]] = Field(default_factory=dict)
    rhythm: Rhythm = Rhythm()
    rules: Rules = Rules()

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

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(set(self.models)) != len(self.models):
            raise ValueError("a model is listed twice under models")
        if not re.fullmatch(r"[A-Za-z0-9_+\-/]{1,64}", self.time_zone):
            raise ValueError(f"time_zone {self.time_zone!r} is not a zone name such as Europe/Madrid")
        return self
