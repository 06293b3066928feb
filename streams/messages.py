"""From the kernel's notebook to outputs: score changes and episodes as JSON, in the order in which they happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas.catalogue import OVERRIDE_PREFIX
from schemas.evidence import (
    AbsoluteSilenceEvidence,
    AbsoluteSilenceReason,
    BandDropEvidence,
    BandDropReason,
    DeclineEvidence,
    DeclineReason,
    NeverStartedEvidence,
    NeverStartedReason,
    PaymentTroubleEvidence,
    PaymentTroubleReason,
    Reason,
    ReengagedEvidence,
    ReengagedReason,
    RiskPageEvidence,
    RiskPageReason,
    SilenceEvidence,
    SilenceReason,
    TicketTroubleEvidence,
    TicketTroubleReason,
    UpgradeInterestEvidence,
    UpgradeInterestReason,
    UsageSurgeEvidence,
    UsageSurgeReason,
    UsersLeavingEvidence,
    UsersLeavingReason,
)
from schemas.outputs import Cause, Disengagement
from schemas.reasons import (
    CauseKind,
    ResolvedBy,
    Rule,
    Severity,
    Status,
    rules_in,
)
from schemas.records import OutputRecord
from schemas.topics import INPUT_TOPICS, Input, Output
from streams import effects as fx
from streams.brake import Said, Step
from streams.events import EVENT_INPUT, EVENT_OFFSET, EVENT_ROW, EVENT_TIME
from streams.identity import cloud_event, identity
from streams.instants import day_text, instant_text
from streams.layout import ABSENT
from streams.levels import band_name, points
from streams.wording import summary

if TYPE_CHECKING:
    from streams.accounts import Accounts
    from streams.events import Taken
    from streams.plan import Program

_CAUSES: Final = {
    fx.BY_TIME: CauseKind.TIME,
    fx.BY_EVIDENCE: CauseKind.EVIDENCE,
    fx.BY_MODEL: CauseKind.MODEL,
    fx.BY_JOIN: CauseKind.MERGE,
}
_ENDS: Final = {
    fx.BY_MODEL: ResolvedBy.POLICY,
    fx.BY_ERASURE: ResolvedBy.ERASED,
    fx.BY_RETIREMENT: ResolvedBy.RETIRED,
    fx.BY_MERGE: ResolvedBy.MERGED,
}
"""What ended an episode, whatever its reasons were."""
_STATUSES: Final = (Status.FIRING, Status.ESCALATED, Status.RESOLVED)
_ENDED_BY: Final = {  # a rule's condition; that of any other is simply over
    Rule.SILENCE: ResolvedBy.ACTIVITY,
    Rule.ABSOLUTE_SILENCE: ResolvedBy.ACTIVITY,
    Rule.NEVER_STARTED: ResolvedBy.ACTIVITY,
    Rule.RISK_PAGE: ResolvedBy.QUIET_PERIOD,
}


class Story(NamedTuple):
    """One of an account's two episodes: its topic, and what its ids are hashes of."""

    topic: Output
    alert: str
    episode: str


STORIES: Final = (
    Story(Output.DISENGAGEMENTS, "alert", "episode"),
    Story(Output.OPPORTUNITIES, "opportunity", "opportunity-episode"),
)


class Messages:
    """Writes the outputs of one batch of events; cold facts are told to the accounts as the batch goes by."""

    def __init__(
        self, accounts: Accounts, partition: int, taken: Taken, before: Program | None = None
    ) -> None:
        """``before`` is the program whose policy the accounts leave, while they adopt that of another."""
        self._accounts, self._partition, self._taken = accounts, partition, taken
        self._program = accounts.program
        self._forms = self._program.forms
        if before:
            self._forms = self._forms.leaving({model.model: model for model in before.models})
        self._told = 0
        self.said: list[Said] = []
        self.score_changes: dict[str, int] = {}
        self.urgent: set[int] = set()
        self.ended: set[int] = set()

    def emit(self, effects: fx.Effects) -> None:
        """Write what the notebook holds, in its order."""
        lines = effects.table[: effects.used[0]]
        for line, numbers in zip(lines.tolist(), self._forms.numbers(lines), strict=True):
            by_event = line[fx.CAUSE] == fx.BY_EVENT
            self.tell_until(line[fx.EVENT] + by_event)
            if line[fx.KIND] == fx.SCORE_CHANGE:
                self._score_change(line, numbers)
            elif line[fx.KIND] == fx.END:
                self._end(line)
            else:
                self._episode(line, STORIES[line[fx.KIND] - fx.DISENGAGEMENT])

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
            return Cause(kind=_CAUSES[line[fx.CAUSE]], topic=None, event_id=None, partition=None, offset=None)
        event = self._taken.columns[line[fx.EVENT]]
        topic, kind = Input(int(event[EVENT_INPUT])), CauseKind.EVENT
        if topic is Input.ACCOUNT_FACTS:
            _, told = self._taken.facts[self._told - 1]  # of this event: it was told before its effects are
            is_judged = any(name.startswith(OVERRIDE_PREFIX) for name in told.facts)  # type: ignore[attr-defined]
            kind = CauseKind.OVERRIDE if is_judged else CauseKind.FACT
        return Cause(
            kind=kind,
            topic=INPUT_TOPICS[topic].name,
            event_id=self._taken.event_id(line[fx.EVENT]),
            partition=self._partition,
            offset=int(event[EVENT_OFFSET]),
        )

    def _score_change(self, line: list[int], numbers: bytes) -> None:
        form, row = self._forms[line[fx.MODEL]], line[fx.ROW]
        account, model = self._accounts.names[row], form.model.model
        change_id, at = identity("change", account, model, line[fx.ORDINAL]), instant_text(line[fx.AT])
        body = form.fill(line, numbers, change_id, account, self._cause(line), at)
        in_shadow = model in self._program.policy.shadow
        topic = Output.SHADOW_SCORES if in_shadow else Output.SCORE_CHANGES
        if line[fx.OLD_BAND] != line[fx.NEW_BAND] and not in_shadow:
            self.urgent.add(row)
        self.score_changes[model] = self.score_changes.get(model, 0) + 1
        self._write(topic, line, body, cloud_event(topic, model, change_id, at))

    def _end(self, line: list[int]) -> None:
        """Take the view of an account back, and forget its facts."""
        row = line[fx.ROW]
        nothing = OutputRecord(Output.ACCOUNTS, self._accounts.keys[row], b"")
        self.said.append(Said(nothing, line[fx.PLACE], bool(line[fx.STANDING]), None))
        self._accounts.ended(row)
        self.ended.add(row)

    def _episode(self, line: list[int], story: Story) -> None:
        account, row, at = self._accounts.names[line[fx.ROW]], line[fx.ROW], line[fx.AT]
        status, severity = _STATUSES[line[fx.STATUS]], Severity(line[fx.SEVERITY]).label
        since, ordinal = line[fx.SINCE], line[fx.EPISODE_ORDINAL]
        rules = rules_in(line[fx.REASONS])
        reasons = [
            reason(self._program, rule, line[fx.RULE_SINCE + rule], line[fx.EVIDENCE :]) for rule in rules
        ]
        ended_by = None
        if status is Status.RESOLVED:
            over = _ENDED_BY.get(rules[0], ResolvedBy.CONDITION_OVER) if rules else ResolvedBy.CONDITION_OVER
            by_itself = ResolvedBy.CLOSED if line[fx.EPISODE_CLOSED] else over
            ended_by = _ENDS.get(line[fx.CAUSE], by_itself)
        alert = Disengagement(
            alert_id=identity(story.alert, account, since, ordinal, status, severity),
            episode_id=identity(story.episode, account, since, ordinal),
            account_id=account,
            status=status,
            severity=severity,
            effective_at=instant_text(at),
            since=instant_text(since),
            reasons=reasons,
            value=points(line[fx.VALUE]),
            owner=self._accounts.fact(row, "owner", at),
            summary=summary(reasons, ended_by, self._program.words),
            resolved_by=ended_by,
        )
        self.urgent.add(row)
        headers = cloud_event(story.topic, story.topic, alert.alert_id, alert.effective_at)
        step = Step(status, tuple(rule.label for rule in rules), is_unmuted=bool(line[fx.UNMUTED]))
        self._write(story.topic, line, msgspec.json.encode(alert), headers, step)

    def _write(
        self,
        topic: Output,
        line: list[int],
        body: bytes,
        headers: tuple[tuple[str, bytes], ...],
        step: Step | None = None,
    ) -> None:
        record = OutputRecord(topic, self._accounts.keys[line[fx.ROW]], body, headers)
        self.said.append(Said(record, line[fx.PLACE], bool(line[fx.STANDING]), step))


def reason(program: Program, rule: Rule, since: int, evidence: list[int]) -> Reason:  # noqa: PLR0911
    """Return one reason of an episode with its evidence (cells from ``fx.EVIDENCE`` on)."""
    at, rules, e = instant_text(since), program.policy.rules, evidence
    match rule:
        case Rule.SILENCE:
            assert rules.silence is not None
            silence = SilenceEvidence(
                silent_for_s=e[fx.AT_SILENT_FOR],
                usual_gap_s=e[fx.AT_USUAL_GAP],
                gaps_known=e[fx.AT_GAPS_KNOWN],
                probability=e[fx.AT_PROBABILITY] / 1e9,
                false_alarms_per_year=rules.silence.false_alarms_per_year,
            )
            return SilenceReason(since=at, evidence=silence)
        case Rule.DECLINE:
            recent, earlier = e[fx.AT_RECENT_DAYS] / 1000, e[fx.AT_EARLIER_DAYS] / 1000
            weeks = DeclineEvidence(recent_days_per_week=recent, earlier_days_per_week=earlier)
            return DeclineReason(since=at, evidence=weeks)
        case Rule.ABSOLUTE_SILENCE:
            assert rules.absolute_silence is not None
            absolute = AbsoluteSilenceEvidence(
                silent_for_s=e[fx.AT_ABSOLUTE_SILENT_FOR], limit_days=rules.absolute_silence.days
            )
            return AbsoluteSilenceReason(since=at, evidence=absolute)
        case Rule.NEVER_STARTED:
            assert rules.never_started is not None
            never = NeverStartedEvidence(
                days_since_start=e[fx.AT_DAYS_SINCE_START], limit_days=rules.never_started.days
            )
            return NeverStartedReason(since=at, evidence=never)
        case Rule.RISK_PAGE:
            visits = RiskPageEvidence(
                visits=e[fx.AT_VISITS],
                last_visit_at=instant_text(e[fx.AT_LAST_VISIT]),
                admin=bool(e[fx.AT_ADMIN]),
            )
            return RiskPageReason(since=at, evidence=visits)
        case Rule.PAYMENT_TROUBLE:
            payments = PaymentTroubleEvidence(
                late=e[fx.AT_LATE], failed=e[fx.AT_FAILED], reversed=e[fx.AT_REVERSED]
            )
            return PaymentTroubleReason(since=at, evidence=payments)
        case Rule.TICKET_TROUBLE:
            tickets = TicketTroubleEvidence(
                opened=e[fx.AT_OPENED],
                usual=e[fx.AT_USUALLY_OPENED] / 1000,
                escalated=e[fx.AT_ESCALATED],
                unresolved=e[fx.AT_UNRESOLVED],
            )
            return TicketTroubleReason(since=at, evidence=tickets)
        case Rule.BAND_DROP:
            model, lost, before = program.models[0], e[fx.AT_POINTS_LOST], e[fx.AT_BAND_BEFORE]
            drop = BandDropEvidence(
                band=band_name(model, e[fx.AT_BAND]),
                band_before=None if before == ABSENT else band_name(model, before),
                points_lost=None if lost == ABSENT else lost / 100,
            )
            return BandDropReason(model=model.model, since=at, evidence=drop)
        case Rule.USERS_LEAVING:
            users = UsersLeavingEvidence(users=e[fx.AT_USERS], users_before=e[fx.AT_USERS_BEFORE])
            return UsersLeavingReason(since=at, evidence=users)
        case _:
            return opportunity(program, rule, at, e)


def opportunity(program: Program, rule: Rule, since: str, e: list[int]) -> Reason:
    """Return one reason of an episode of opportunity with its evidence."""
    if rule is Rule.REENGAGED:
        back = ReengagedEvidence(
            returned_on=day_text(e[fx.AT_RETURNED_DAY]),
            active_days=e[fx.AT_ACTIVE_DAYS],
            silent_days=e[fx.AT_SILENT_DAYS],
        )
        return ReengagedReason(since=since, evidence=back)
    if rule is Rule.USAGE_SURGE:
        surge = UsageSurgeEvidence(events=e[fx.AT_SURGE], usual=e[fx.AT_USUAL_EVENTS] / 1000)
        return UsageSurgeReason(since=since, evidence=surge)
    interest = program.policy.rules.upgrade_interest
    assert interest is not None
    visits = UpgradeInterestEvidence(visits=e[fx.AT_UPGRADE_VISITS], window_days=interest.window_days)
    return UpgradeInterestReason(since=since, evidence=visits)
