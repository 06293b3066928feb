"""What `latido explain` tells, as it is written in JSON; times are RFC 3339 UTC, scores have three decimals."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.words import Language


class ComponentTold(msgspec.Struct, kw_only=True):
    """What a component measures and what it gives; ``missing`` says why there is no value."""

    name: str
    dimension: str
    metric: str
    value: float | str | None
    unit: str
    points: float | None
    weight: int
    contribution: float | None
    missing: str | None


class ModelTold(msgspec.Struct, kw_only=True):
    """A model's score of the account, and its parts; coverage is ``weight_present`` of ``denominator``.

    ``summary`` tells for people what costs the score most and what holds it up; it is empty without a score.
    ``override`` is what manual judgement adds to the contributions. Of a model in ``shadow`` the score is only shown.
    """

    model: str
    version: int
    shadow: bool
    score: float | None
    band: str
    coverage: float
    weight_present: int
    denominator: int
    scale: tuple[int, int]
    components: list[ComponentTold]
    override: float | None
    summary: str


class EpisodeTold(msgspec.Struct, kw_only=True):
    """An open episode, a sentence for each reason."""

    topic: str
    since: str
    severity: str
    sentences: list[str]


class Step(msgspec.Struct, kw_only=True):
    """Something that would go out: ``message`` is what a reader of ``topic`` would get."""

    effective_at: str
    topic: str
    message: dict[str, Any]


class Move(msgspec.Struct, kw_only=True):
    """A model's score before and after."""

    model: str
    shadow: bool
    old_score: float | None
    old_band: str
    new_score: float | None
    new_band: str


class IfActive(msgspec.Struct, kw_only=True):
    """What one log-in at ``at`` would change: scores, messages, and the first alert after it if nothing else happens.

    ``is_activity``: the policy counts log-ins as activity.
    """

    at: str
    is_activity: bool
    scores: list[Move]
    messages: list[Step]
    next_alert_at: str | None
    next_alert_at_without: str | None


class Explanation(msgspec.Struct, kw_only=True):
    """All of it: kind, scores and episodes as of ``now``, and what comes after ``committed_at``, the instant of the state.

    Its texts are in ``language``.
    """

    account_id: str
    language: Language
    policy: str
    policy_version: int
    partition: int
    partitions: int
    halted_by: str | None
    committed_at: str
    now: str
    kind: str
    time_zone: str
    last_active_at: str | None
    facts: dict[str, Any]
    models: list[ModelTold]
    episodes: list[EpisodeTold]
    days_ahead: int
    without_any_event: list[Step]
    if_active_now: IfActive
