"""One account's life: which instants fire, one evaluation at each, and what goes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from schemas.catalogue import OVERRIDE_PREFIX
from schemas.reasons import OPPORTUNITIES, CauseKind, EventNote, ResolvedBy, Rule, Status
from schemas.topics import INPUT_TOPICS, Input, Output
from tests.auditor.banddrop import BandDrop
from tests.auditor.case import FirstModel
from tests.auditor.control import NEVER_MUTED, Muting
from tests.auditor.days import local_day, start_of_day
from tests.auditor.ends import SECONDS_TO_1990
from tests.auditor.episode import Episode, Message
from tests.auditor.exact import decimal, identity, rfc3339
from tests.auditor.facts import is_readable
from tests.auditor.history import History
from tests.auditor.instants import ends
from tests.auditor.metrics import Moment
from tests.auditor.score import judge
from tests.auditor.standing import SCHEMA_VERSION, Payload, first_standing

if TYPE_CHECKING:
    from tests.auditor.event import Event
    from tests.auditor.settings import Settings
    from tests.auditor.standing import Standing

IDS_OF = {
    Output.DISENGAGEMENTS: ("episode", "alert"),
    Output.OPPORTUNITIES: ("opportunity-episode", "opportunity"),
}
"""What the ids of an episode and of its messages begin with, by topic; messages go out in this order."""


@dataclass
class Outputs:
    """What went out, in processing order."""

    score_changes: list[Payload] = field(default_factory=list)
    shadow_scores: list[Payload] = field(default_factory=list)
    disengagements: list[Payload] = field(default_factory=list)
    opportunities: list[Payload] = field(default_factory=list)


class Account:
    """One account of one partition."""

    def __init__(
        self, account_id: str, partition: int, settings: Settings, muting: Muting = NEVER_MUTED
    ) -> None:
        self.account_id = account_id
        self.partition = partition
        self.settings = settings
        self.muting = muting
        self.zone = settings.zone
        self.history = History(settings)
        rules = settings.rules.items()
        self.episodes = {
            Output.DISENGAGEMENTS: Episode({rule: its for rule, its in rules if rule not in OPPORTUNITIES}),
            Output.OPPORTUNITIES: Episode({rule: its for rule, its in rules if rule in OPPORTUNITIES}),
        }
        self.standings = [first_standing(model) for model in settings.models]
        drop = settings.rules.get(Rule.BAND_DROP)
        self.drop = BandDrop(drop["days"] if drop else 0)
        self.now_ms: int | None = None
        self.day: int | None = None
        self.last_event_day = 0
        self.has_ended = False

    def take(self, event: Event, clock_ms: float, outputs: Outputs) -> set[EventNote]:
        """Take an event before which what is due has fired: it is applied, then it is the cause of an evaluation."""
        today = self.move_to(self.now_of(event, clock_ms))
        self.last_event_day = max(self.last_event_day, local_day(self.zone, event.time_ms))
        notes = self.history.apply(event, today, self.zone, is_silent=self._is_silent)
        self._evaluate(self._cause_of_event(event), outputs)
        return notes

    def now_of(self, event: Event, clock_ms: float) -> int:
        """Return the account's time as an event is taken."""
        now_ms = event.time_ms if self.now_ms is None else max(self.now_ms, event.time_ms)
        if clock_ms > -inf:
            now_ms = max(now_ms, start_of_day(self.zone, local_day(self.zone, int(clock_ms))))
        return now_ms

    def begin_numbers_at(self, now_ms: int) -> None:
        """Let ordinals of score changes count on from half the seconds since 1990."""
        for standing in self.standings:
            standing.ordinal = (now_ms // 1000 - SECONDS_TO_1990) // 2

    def end(self, now_ms: int, by: ResolvedBy, outputs: Outputs) -> None:
        """Resolve what is open, and be there no more."""
        self.has_ended = True
        for topic, episode in self.episodes.items():
            if episode.open and not episode.end_unheard():
                last = Message(Status.RESOLVED, episode.severity, episode.since_ms, episode.ordinal, [], by)
                sent = outputs.disengagements if topic is Output.DISENGAGEMENTS else outputs.opportunities
                sent.append(self._alert(topic, last, now_ms) | {"owner": None, "value": None})

    def be_merged(self, outputs: Outputs) -> None:
        """Be evaluated after a move in which another account was taken in, or this one took a new id."""
        self._evaluate(_cause(CauseKind.MERGE), outputs, notes_fall=False)

    @property
    def _is_silent(self) -> bool:
        """Tell whether a reason of silence is open."""
        return (
            not self.episodes[Output.DISENGAGEMENTS]
            .open.keys()
            .isdisjoint({Rule.SILENCE, Rule.ABSOLUTE_SILENCE})
        )

    def fire_until(self, end_ms: int, outputs: Outputs) -> None:
        """Fire every instant up to and including an end, in order."""
        while self.now_ms is not None and (instant := self.next_instant(self.now_ms)) <= end_ms:
            before = self.day
            today = self.move_to(int(instant))
            is_closed = self.history.is_closed(int(instant))
            if today != before and self.settings.ends.retires(
                today, self.last_event_day, is_closed=is_closed
            ):
                self.end(int(instant), ResolvedBy.RETIRED, outputs)
                return
            kind = CauseKind.EVIDENCE if instant in self._evidence_ends() else CauseKind.TIME
            self._evaluate(_cause(kind), outputs)

    def next_instant(self, after_ms: int) -> float:
        """Return the first instant after one at which something may change or be told."""
        day = local_day(self.zone, after_ms) + 1
        while (midnight := start_of_day(self.zone, day)) <= after_ms:
            day += 1
        told = [*self._evidence_ends(), *self._dwell_ends(), *self._refractory_ends()]
        found = [*told, *ends(self.history, self.drop), *self._muted_ends()]
        return min([midnight, *(end for end in found if end > after_ms)])

    def _evidence_ends(self) -> set[int]:
        told = [(name, self.history.newest(name)) for name in self.settings.facts_read]
        return {
            fact.expires_ms
            for name, fact in told
            if fact and fact.expires_ms and is_readable(name, fact.value)
        }

    def _dwell_ends(self) -> list[int]:
        return [s.fell_at_ms + s.model.dwell_ms for s in self.standings if s.fell_at_ms is not None]

    def _refractory_ends(self) -> list[int]:
        return [
            joined_at_ms + self.settings.rules[rule].refractory_ms
            for episode in self.episodes.values()
            for rule, joined_at_ms in episode.joined_at_ms.items()
        ]

    def _muted_ends(self) -> list[float]:
        waits = any(episode.waits_for_unmuting for episode in self.episodes.values())
        return self.muting.ends if waits else []

    def move_to(self, now_ms: int) -> int:
        """Move the account's time, and its zone with its day; return the day."""
        before = self.day
        today = self._day_at(now_ms)
        if before is None or today > before:
            told = self.history.readable_fact("time_zone", now_ms)
            self.zone = self.settings.zone if told is None else told
            today = self._day_at(now_ms)
        self.now_ms = now_ms
        return today

    def _day_at(self, now_ms: int) -> int:
        """Move the day to that of an instant in the zone in force, never back."""
        today = local_day(self.zone, now_ms)
        self.day = today if self.day is None else max(self.day, today)
        return self.day

    def _evaluate(self, cause: Payload, outputs: Outputs, *, notes_fall: bool = True) -> None:
        assert self.now_ms is not None
        assert self.day is not None
        at = Moment(self.history, self.now_ms, self.day, self.zone)
        former = self.standings[0].band_index if notes_fall else None
        for standing in self.standings:
            standing.move_to(judge(standing.model, at), self.now_ms)
            if standing.is_material:
                in_shadow = standing.model.name in self.settings.shadow
                sent = outputs.shadow_scores if in_shadow else outputs.score_changes
                sent.append(standing.change(self.account_id, cause, self.now_ms))
        first = self._first_model(former, at)
        for topic, episode in self.episodes.items():
            message = episode.evaluate(at, first, is_muted=self.muting.covers(self.now_ms))
            if message is not None:
                sent = outputs.disengagements if topic is Output.DISENGAGEMENTS else outputs.opportunities
                sent.append(self._alert(topic, message, self.now_ms))

    def _first_model(self, former: int | None, at: Moment) -> FirstModel:
        """Return how the first model stands, and take note of what its band did."""
        standing = self.standings[0]
        scored, present = standing.scored, standing.band_index
        self.drop.note(
            former, present, scored.evidence, at.now_ms, at.day, is_overridden=scored.override is not None
        )
        bands = tuple(band.name for band in standing.model.bands)
        return FirstModel(self.drop, bands, present, standing.band)

    def _alert(self, topic: Output, message: Message, now_ms: int) -> Payload:
        """Return a message of an episode."""
        of_episode, of_message = IDS_OF[topic]
        episode = (self.account_id, message.since_ms, message.ordinal)
        return {
            "schema_version": SCHEMA_VERSION,
            "alert_id": identity(of_message, *episode, message.status.value, message.severity.label),
            "episode_id": identity(of_episode, *episode),
            "account_id": self.account_id,
            "status": message.status.value,
            "severity": message.severity.label,
            "effective_at": rfc3339(now_ms),
            "since": rfc3339(message.since_ms),
            "reasons": [
                {
                    "rule": rule.label,
                    "model": self.standings[0].model.name if rule is Rule.BAND_DROP else None,
                    "since": rfc3339(opened.since_ms),
                    "evidence": opened.evidence,
                }
                for rule, opened in message.reasons
            ],
            "value": next((decimal(s.scored.score) for s in self._live if s.model.name == "value"), None),
            "owner": self.history.fact("owner", now_ms),
            "resolved_by": None if message.resolved_by is None else message.resolved_by.value,
        }

    @property
    def _live(self) -> list[Standing]:
        return [standing for standing in self.standings if standing.model.name not in self.settings.shadow]

    def _cause_of_event(self, event: Event) -> Payload:
        kind = CauseKind.EVENT
        if event.input is Input.ACCOUNT_FACTS:
            is_override = any(name.startswith(OVERRIDE_PREFIX) for name in event.facts)
            kind = CauseKind.OVERRIDE if is_override else CauseKind.FACT
        topic = INPUT_TOPICS[event.input].name
        return _cause(kind, topic, event.event_id, self.partition, event.offset)

    def final(self) -> Payload:
        """Return how the account stands in the end."""
        active = self.history.active
        return {
            "partition": self.partition,
            "models": {
                s.model.name: {"score": s.scored.score, "band": s.band, "coverage": s.scored.coverage}
                for s in self.standings
            },
            "episodes": [self._open_episode(topic) for topic in self.episodes if self.episodes[topic].open],
            "last_active_day": self.history.last_active_day if active else None,
            "gaps": self.history.rhythm().gaps,
        }

    def _open_episode(self, topic: Output) -> Payload:
        episode = self.episodes[topic]
        return {
            "episode_id": identity(IDS_OF[topic][0], self.account_id, episode.since_ms, episode.ordinal),
            "topic": topic.value,
            "since": rfc3339(episode.since_ms),
            "severity": episode.severity.label,
            "told": not episode.is_unheard,
            "reasons": {rule.label: rfc3339(episode.open[rule].since_ms) for rule in sorted(episode.open)},
        }


def _cause(
    kind: CauseKind,
    topic: str | None = None,
    event_id: str | None = None,
    partition: int | None = None,
    offset: int | None = None,
) -> Payload:
    return {
        "kind": kind.value,
        "topic": topic,
        "event_id": event_id,
        "partition": partition,
        "offset": offset,
    }
