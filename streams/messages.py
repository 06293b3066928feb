"""From the kernel's notebook to outputs: score changes and episodes as JSON, in the order in which they happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.outputs import (
    CLOUD_EVENT_TYPES,
    AbsoluteSilenceEvidence,
    AbsoluteSilenceReason,
    Cause,
    Contribution,
    DimensionChange,
    Disengagement,
    Level,
    Reason,
    RiskPageEvidence,
    RiskPageReason,
    ScoreChange,
    SilenceEvidence,
    SilenceReason,
)
from schemas.reasons import (
    INSUFFICIENT_EVIDENCE,
    NOT_APPLICABLE,
    CauseKind,
    ResolvedBy,
    Rule,
    Severity,
    Status,
)
from schemas.records import OutputRecord
from schemas.topics import INPUT_TOPICS, Input, Output
from streams import effects as fx
from streams.events import EVENT_INPUT, EVENT_OFFSET, EVENT_ROW, EVENT_TIME
from streams.layout import NONE
from streams.plan import FIRST_BAND
from streams.wording import summary

if TYPE_CHECKING:
    from schemas.policy import Policy
    from streams.accounts import Accounts
    from streams.merge import Taken

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATUSES: Final = (Status.FIRING, Status.ESCALATED, Status.RESOLVED)
_ENDED_BY: Final = {Rule.RISK_PAGE: ResolvedBy.QUIET_PERIOD}


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat().removesuffix("+00:00")


def instant_text(t: int) -> str:
    """Return an instant in ms as RFC 3339 UTC with milliseconds."""
    return f"{_second_text(t // 1000)}.{t % 1000:03d}Z"


def points(thousandths: int) -> float | None:
    """Return thousandths as a decimal, ``None`` for null."""
    return None if thousandths == NONE else thousandths / 1000


def identity(*parts: object) -> str:
    """Return the id of a happening: a hash of what makes it itself, so the same log gives the same ids."""
    return blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def cloud_event(topic: Output, source: str, identifier: str, time: str) -> tuple[tuple[str, bytes], ...]:
    """Return the CloudEvents 1.0 attributes that ride in the headers of an output."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", identifier.encode()),
        ("ce_type", CLOUD_EVENT_TYPES[topic].encode()),
        ("ce_source", f"/latido/{source}".encode()),
        ("ce_time", time.encode()),
    )


class Messages:
    """Writes the outputs of one batch of events; cold facts are told to the accounts as the batch goes by."""

    def __init__(self, accounts: Accounts, partition: int, taken: Taken) -> None:
        self._accounts, self._partition, self._taken = accounts, partition, taken
        self._program = accounts.program
        self._told = 0
        self.records: list[OutputRecord] = []
        self.score_changes: dict[str, int] = {}
        self.alerts: dict[tuple[str, str], int] = {}
        self.urgent: set[int] = set()

    def emit(self, effects: fx.Effects) -> None:
        """Write what the notebook holds, in its order."""
        for line in effects.table[: effects.used[0]].tolist():
            by_event = line[fx.CAUSE] == fx.BY_EVENT
            self.tell_until(line[fx.EVENT] + by_event)
            if line[fx.KIND] == fx.SCORE_CHANGE:
                self._score_change(line)
            else:
                self._episode(line)

    def tell_until(self, event: int) -> None:
        """Tell the accounts the facts of all events before index ``event`` of the batch."""
        facts, columns = self._taken.facts, self._taken.columns
        while self._told < len(facts) and facts[self._told][0] < event:
            at, told = facts[self._told]
            row = int(columns[at, EVENT_ROW])
            if row >= 0:
                self._accounts.tell(row, told, int(columns[at, EVENT_TIME]))  # type: ignore[arg-type]
            self._told += 1

    def _cause(self, line: list[int]) -> Cause:
        if line[fx.CAUSE] != fx.BY_EVENT:
            kind = CauseKind.EVIDENCE if line[fx.CAUSE] == fx.BY_EVIDENCE else CauseKind.TIME
            return Cause(kind=kind, topic=None, event_id=None, partition=None, offset=None)
        event = self._taken.columns[line[fx.EVENT]]
        topic = Input(int(event[EVENT_INPUT]))
        return Cause(
            kind=CauseKind.FACT if topic is Input.ACCOUNT_FACTS else CauseKind.EVENT,
            topic=INPUT_TOPICS[topic].name,
            event_id=self._taken.event_ids[line[fx.EVENT]],
            partition=self._partition,
            offset=int(event[EVENT_OFFSET]),
        )

    def _score_change(self, line: list[int]) -> None:
        model = self._program.models[line[fx.MODEL]]
        account, row = self._accounts.names[line[fx.ROW]], line[fx.ROW]
        dims, parts = len(model.dimensions), len(model.components)
        old_dims, new_dims, old_parts, new_parts = _cut(line[fx.SCORE_HEAD :], dims, dims, parts, parts)
        change = ScoreChange(
            change_id=identity("change", account, model.model, line[fx.ORDINAL]),
            account_id=account,
            model=model.model,
            model_version=model.version,
            cause=self._cause(line),
            effective_at=instant_text(line[fx.AT]),
            old=self._level(line[fx.MODEL], *line[fx.OLD_SCORE : fx.OLD_COVERAGE + 1]),
            new=self._level(line[fx.MODEL], *line[fx.NEW_SCORE : fx.NEW_COVERAGE + 1]),
            scale=model.scale,
            dimensions=[
                DimensionChange(name=dimension.name, old=points(old), new=points(new))
                for dimension, old, new in zip(model.dimensions, old_dims, new_dims, strict=True)
            ],
            contributions=[
                Contribution(
                    component=part.name,
                    old=points(old),
                    new=points(new),
                    delta=(max(new, 0) - max(old, 0)) / 1000,
                )
                for part, old, new in zip(model.components, old_parts, new_parts, strict=True)
            ],
        )
        if line[fx.OLD_BAND] != line[fx.NEW_BAND]:
            self.urgent.add(row)
        self.score_changes[model.model] = self.score_changes.get(model.model, 0) + 1
        headers = cloud_event(Output.SCORE_CHANGES, model.model, change.change_id, change.effective_at)
        self._write(Output.SCORE_CHANGES, row, change, headers)

    def _level(self, m: int, score: int, band: int, coverage: int) -> Level:
        name = band_name(self._program.models[m].bands, band)
        return Level(score=points(score), band=name, coverage=coverage / 1000)

    def _episode(self, line: list[int]) -> None:
        account, row, at = self._accounts.names[line[fx.ROW]], line[fx.ROW], line[fx.AT]
        status, severity = _STATUSES[line[fx.STATUS]], Severity(line[fx.SEVERITY]).label
        since, ordinal = line[fx.SINCE], line[fx.EPISODE_ORDINAL]
        rules = [rule for rule in Rule if line[fx.REASONS] >> rule & 1]
        reasons = [
            reason(self._program.policy, rule, line[fx.RULE_SINCE + rule], line[fx.EVIDENCE :])
            for rule in rules
        ]
        ended_by = None
        if status is Status.RESOLVED:
            ended_by = (
                ResolvedBy.CLOSED if line[fx.EPISODE_CLOSED] else _ENDED_BY.get(rules[0], ResolvedBy.ACTIVITY)
            )
        alert = Disengagement(
            alert_id=identity("alert", account, since, ordinal, status, severity),
            episode_id=identity("episode", account, since, ordinal),
            account_id=account,
            status=status,
            severity=severity,
            effective_at=instant_text(at),
            since=instant_text(since),
            reasons=reasons,
            value=None,
            owner=self._accounts.fact(row, "owner", at),
            summary=summary(reasons, ended_by),
            resolved_by=ended_by,
        )
        for rule in rules:
            self.alerts[rule.label, status] = self.alerts.get((rule.label, status), 0) + 1
        self.urgent.add(row)
        headers = cloud_event(Output.DISENGAGEMENTS, "disengagements", alert.alert_id, alert.effective_at)
        self._write(Output.DISENGAGEMENTS, row, alert, headers)

    def _write(
        self, topic: Output, row: int, body: msgspec.Struct, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        self.records.append(OutputRecord(topic, self._accounts.keys[row], msgspec.json.encode(body), headers))


def band_name(bands: Any, code: int) -> str:
    """Return the name of a band cell's code."""
    if code < FIRST_BAND:
        return (INSUFFICIENT_EVIDENCE, NOT_APPLICABLE)[code]
    return str(bands[code - FIRST_BAND].name)


def reason(policy: Policy, rule: Rule, since: int, evidence: list[int]) -> Reason:
    """Return one reason of an episode with its evidence (cells from ``fx.EVIDENCE`` on)."""
    at, rules = instant_text(since), policy.rules
    if rule is Rule.SILENCE:
        assert rules.silence is not None
        silence = SilenceEvidence(
            silent_for_s=evidence[fx.AT_SILENT_FOR],
            usual_gap_s=evidence[fx.AT_USUAL_GAP],
            gaps_known=evidence[fx.AT_GAPS_KNOWN],
            probability=evidence[fx.AT_PROBABILITY] / 1e9,
            false_alarms_per_year=rules.silence.false_alarms_per_year,
        )
        return SilenceReason(since=at, evidence=silence)
    if rule is Rule.ABSOLUTE_SILENCE:
        assert rules.absolute_silence is not None
        silent_for_s, limit_days = evidence[fx.AT_ABSOLUTE_SILENT_FOR], rules.absolute_silence.days
        absolute = AbsoluteSilenceEvidence(silent_for_s=silent_for_s, limit_days=limit_days)
        return AbsoluteSilenceReason(since=at, evidence=absolute)
    visits = RiskPageEvidence(
        visits=evidence[fx.AT_VISITS],
        last_visit_at=instant_text(evidence[fx.AT_LAST_VISIT]),
        admin=bool(evidence[fx.AT_ADMIN]),
    )
    return RiskPageReason(since=at, evidence=visits)


def _cut(cells: list[int], *sizes: int) -> list[list[int]]:
    parts, start = [], 0
    for size in sizes:
        parts.append(cells[start : start + size])
        start += size
    return parts
