"""One example of each message, for the reference and for whoever writes a first producer or consumer."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from schemas.control import content_hash
from schemas.evidence import ReengagedEvidence, ReengagedReason, SilenceEvidence, SilenceReason
from schemas.outputs import (
    AccountView,
    Cause,
    ComponentScore,
    Contribution,
    DimensionChange,
    DimensionScore,
    Disengagement,
    Episode,
    Level,
    ModelScore,
    Operation,
    ScoreChange,
)
from schemas.reasons import CauseKind, Missing, Severity, Status, Trouble
from schemas.topics import Input, Output

_ACCOUNT: Final = "acme"
_SINCE: Final = "2026-03-28T00:00:00.000Z"
_BY_TIME: Final = Cause(kind=CauseKind.TIME, topic=None, event_id=None, partition=None, offset=None)
_SILENCE: Final = SilenceReason(
    since=_SINCE,
    evidence=SilenceEvidence(
        silent_for_s=777_600,
        usual_gap_s=129_600,
        gaps_known=31,
        probability=0.002053388,
        false_alarms_per_year=0.5,
    ),
)
_EPISODE_ID: Final = "5e1b7c0d9a4f4c27b1f3a8d2c6e09b45"


def _event(number: int, occurred_at: str | int, **fields: Any) -> dict[str, Any]:
    return {"event_id": f"e-{number}", "account_id": _ACCOUNT, "occurred_at": occurred_at, **fields}


INPUT_EXAMPLES: Final[dict[Input, dict[str, Any]]] = {
    Input.ACCOUNT_FACTS: _event(
        1,
        "2026-03-18T09:00:00Z",
        facts={"kind": "customer", "owner": "kim", "nps": 40, "csm_sentiment": None},
        author="crm",
        expires_at="2026-09-18T00:00:00Z",
    ),
    Input.LOGINS: _event(2, "2026-03-18T09:12:41.250+01:00", user_id="u-7", method="sso", success=True),
    Input.TICKETS: _event(
        3,
        1_773_825_600_000,
        ticket_id="t-311",
        action="opened",
        user_id="u-7",
        severity="high",
        tags=["export"],
    ),
    Input.PAYMENTS: _event(
        4,
        "2026-03-18T10:00:00Z",
        payment_id="p-2026-03",
        status="failed",
        amount_minor=129_900,
        currency="EUR",
        due_at="2026-03-15T00:00:00Z",
    ),
    Input.PAGE_VISITS: _event(
        5, "2026-03-18T10:31:07.004Z", path="/account/cancel", duration_ms=5_400, user_role="admin"
    ),
}

_SCORE_CHANGE: Final = ScoreChange(
    change_id="0f6c2a91d3b84e57a6c1e0d79b52f384",
    account_id=_ACCOUNT,
    model="retention",
    model_version=1,
    cause=_BY_TIME,
    effective_at=_SINCE,
    old=Level(score=72.5, band="healthy", coverage=1.0),
    new=Level(score=65.0, band="cooling", coverage=1.0),
    scale=(0, 100),
    grid=None,
    dimensions=[
        DimensionChange(name="recency", old=80.0, new=50.0),
        DimensionChange(name="frequency", old=70.0, new=70.0),
    ],
    contributions=[
        Contribution(component="own_rhythm", old=20.0, new=12.5, delta=-7.5),
        Contribution(component="activity_trend", old=52.5, new=52.5, delta=0.0),
    ],
    summary="Retention 72.5 -> 65 (healthy -> cooling): silence against its usual rhythm 2.7 -> 4.7 times (-7.5).",
)
_SHADOW_SCORE: Final = replace(
    _SCORE_CHANGE,
    change_id="5be20d9f7c1843a6905f4e8d27ba31c6",
    model="retention_weekly",
    summary=f"Retention weekly{_SCORE_CHANGE.summary.removeprefix('Retention')}",
)
_DISENGAGEMENT: Final = Disengagement(
    alert_id="c94b1f0e6d2a4873b5e8f7a10c3d9e26",
    episode_id=_EPISODE_ID,
    account_id=_ACCOUNT,
    status=Status.FIRING,
    severity=Severity.WARNING.label,
    effective_at=_SINCE,
    since=_SINCE,
    reasons=[_SILENCE],
    value=None,
    owner="kim",
    summary="Usually active every 1-2 days; last seen 9 days ago. "
    "At this setting a healthy account is expected to raise 0.5 such alerts a year.",
    resolved_by=None,
)
_RETURNED: Final = "2026-04-10T06:12:30.000Z"
_OPPORTUNITY: Final = Disengagement(
    alert_id="7a90be1f52c64d0f9d3c8b4415e6f0a2",
    episode_id="d2f8417cbb0e4e7c8f1a6593c07be418",
    account_id=_ACCOUNT,
    status=Status.FIRING,
    severity=Severity.INFO.label,
    effective_at=_RETURNED,
    since=_RETURNED,
    reasons=[
        ReengagedReason(
            since=_RETURNED,
            evidence=ReengagedEvidence(returned_on="2026-04-08", active_days=3, silent_days=20),
        )
    ],
    value=None,
    owner="kim",
    summary="Back on 2026-04-08 after 20 days; 3 active days since.",
    resolved_by=None,
)
_ACCOUNT_VIEW: Final = AccountView(
    account_id=_ACCOUNT,
    as_of=_SINCE,
    scores=[
        ModelScore(
            model="retention",
            version=1,
            score=65.0,
            scale=(0, 100),
            band="cooling",
            coverage=1.0,
            grid=None,
            dimensions=[
                DimensionScore(name="recency", score=50.0),
                DimensionScore(name="frequency", score=70.0),
            ],
            components=[
                ComponentScore(name="own_rhythm", contribution=12.5, missing=None),
                ComponentScore(name="activity_trend", contribution=52.5, missing=None),
            ],
            service=None,
        )
    ],
    episodes=[
        Episode(
            episode_id=_EPISODE_ID,
            topic=Output.DISENGAGEMENTS,
            since=_SINCE,
            severity=Severity.WARNING.label,
            reasons=[_SILENCE],
            told=True,
        )
    ],
    facts={"kind": "customer", "owner": "kim", "nps": 40},
    next_change_at="2026-03-29T00:00:00.000Z",
    shadow=[
        ModelScore(
            model="retention_weekly",
            version=1,
            score=None,
            scale=(0, 100),
            band="insufficient_evidence",
            coverage=0.25,
            grid=None,
            dimensions=[DimensionScore(name="recency", score=None)],
            components=[
                ComponentScore(name="own_rhythm", contribution=None, missing=None),
                ComponentScore(name="activity_trend", contribution=None, missing=Missing.WARMING_UP),
            ],
            service=None,
        )
    ],
)

_OPERATION: Final = Operation(
    operation_id="93c1f0e2b7d84a6f8e5d20c4a1b6f7e9",
    kind=Trouble.BRAKE,
    subject=Output.DISENGAGEMENTS,
    partition=3,
    status=Status.FIRING,
    effective_at=_SINCE,
    since=_SINCE,
    limit=20,
    count=1,
)

OUTPUT_EXAMPLES: Final[dict[Output, ScoreChange | Disengagement | AccountView | Operation]] = {
    Output.SCORE_CHANGES: _SCORE_CHANGE,
    Output.SHADOW_SCORES: _SHADOW_SCORE,
    Output.DISENGAGEMENTS: _DISENGAGEMENT,
    Output.OPPORTUNITIES: _OPPORTUNITY,
    Output.ACCOUNTS: _ACCOUNT_VIEW,
    Output.OPERATIONS: _OPERATION,
}


def _control(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "id": name, "effective_at": "2026-04-01T06:00:00Z", "author": "kim", **fields}


_MODEL: Final[dict[str, Any]] = {
    "model": "engaged", "version": 2, "scale": [0, 100], "denominator": 1, "min_coverage": 0.5, "missing": "spread",
    "applies_to": {"kind": ["customer"]},
    "dimensions": [
        {"name": "use", "weight": 1, "components": [
            {"name": "logins", "weight": 1, "metric": {"feature": "count", "source": "logins", "window_days": 28},
             "ramp": [[0, 0], [20, 100]]},
        ]},
    ],
    "bands": [{"name": "cold", "from": 0, "closed": "left"}, {"name": "warm", "from": 50, "closed": "left"}],
    "hysteresis": 2, "dwell_h": 24, "min_change": 5,
}  # fmt: skip
_POLICY: Final[dict[str, Any]] = {
    "policy": "plain", "version": 2, "models": ["engaged"], "activity": ["login"],
    "rules": {"silence": {"severity": "warning"}},
}  # fmt: skip
_PLACE: Final[dict[str, Any]] = {"input": "logins", "partition": 3, "offset": 81_207}
_MERGE, _JOIN = "8a52b0d6a1f44f0e9c3f6f0f3b9a1c77", "c2f1d7b58e0b4e6aa4c19d3e7f5a9b10"
CONTROL_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "Pause": _control("pause", "2026-04-01T06:00:00Z"),
    "Resume": _control("resume", "2026-04-01T06:00:00Z"),
    "GoLive": _control("go_live", "application"),
    "ActivatePolicy": _control(
        "policy", "plain 2", hash=content_hash(_POLICY, [_MODEL]), policy=_POLICY, models=[_MODEL]
    ),
    "ResumeInput": _control("resume_input", "logins 3 81207", **_PLACE),
    "SkipInput": _control("skip_input", "logins 3 81207", **_PLACE, to_offset=90_000),
    "MergeAccounts": _control("merge", _MERGE, old="acme-trial", new="acme"),
    "JoinAccount": _control(
        "join",
        _JOIN,
        application="latido",
        **{"from": "acme-trial"},
        into="acme",
        row="3q2+7w==",
        layout="e30=",
    ),
}
"""By the name of the record's type."""
