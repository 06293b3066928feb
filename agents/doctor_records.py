"""What the records on the broker tell `latido doctor`: partitioner, keys and clock of the inputs, and the state."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from agents.beside import META
from agents.findings import Finding, Verdict
from agents.latest import Seen, Span, read_spans
from agents.partitioners import likely_cause, misplaced
from schemas.errors import LatidoError
from schemas.topics import INPUT_TOPICS
from streams.murmur import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agents.settings import Settings
    from streams.plan import Program

LATEST: Final = 50
"""Records looked at in each input partition."""
FIRST_OF_STATE: Final = 500
LATEST_OF_STATE: Final = 200
AHEAD_MS: Final = 5_000
"""Clocks that agree that well are good enough."""
RECENT_MS: Final = 60_000
RESERVED: Final = b"\0"


# -- records of the inputs ----------------------------------------------------------------------------------------


def input_findings(settings: Settings, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Yield what the latest records of the inputs say; ``counts`` are the topics' partition counts."""
    names = [settings.topic_prefix + spec.name for spec in INPUT_TOPICS.values()]
    spans = [Span(name, number, LATEST) for name in names for number in range(counts.get(name, 0))]
    try:
        records = _read(settings, spans, "read_uncommitted")
    except LatidoError as error:
        yield Finding("records of the inputs", Verdict.PROBLEM, str(error))
        return
    if not records:
        yield Finding("partitioner, keys and clock", Verdict.UNKNOWN, "no input has a record yet")
        return
    by_topic: dict[str, list[Seen]] = defaultdict(list)
    for seen in records:
        by_topic[seen.topic].append(seen)
    yield _partitioner(by_topic, counts)
    yield _keys(records)
    yield _clock(records, time.time_ns() // 1_000_000)


def _read(settings: Settings, spans: Sequence[Span], isolation: str) -> list[Seen]:
    return read_spans(settings.broker, f"{settings.application_id}-doctor", spans, isolation)


def _partitioner(by_topic: dict[str, list[Seen]], counts: Mapping[str, int]) -> Finding:
    found, advice = [], []
    for topic, records in by_topic.items():
        wrong = misplaced(records, counts[topic])
        if wrong:
            cause, mend = likely_cause(wrong, counts[topic])
            home = partition_of(wrong[0].key or b"", counts[topic])
            found.append(
                f"{topic}: {len(wrong)} of the latest {len(records)} records are not where murmur2 of the key puts them "
                f"(key {wrong[0].key!r} at {wrong[0].place} belongs into {home}); likely {cause}"
            )
            advice.append(f"{topic}: {mend}")
    if found:
        return Finding("partitioner", Verdict.PROBLEM, "; ".join(found), "; ".join(advice))
    looked = ", ".join(f"{topic} {len(records)}" for topic, records in by_topic.items())
    if all(counts[topic] == 1 for topic in by_topic):
        return Finding("partitioner", Verdict.OK, "there is one partition, so nothing can lie in another")
    return Finding("partitioner", Verdict.OK, f"murmur2 of the key, in the latest records of {looked}")


class _Body(msgspec.Struct):
    account_id: str


def _keys(records: Sequence[Seen]) -> Finding:
    """Compare keys with the account ids of the bodies."""
    decoder, wrong = msgspec.json.Decoder(_Body), defaultdict[str, list[Seen]](list)
    for seen in records:
        try:
            account = decoder.decode(seen.value or b"").account_id.encode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            wrong["have a body without a readable account_id"].append(seen)
            continue
        if seen.key is None:
            wrong["have no key"].append(seen)
        elif seen.key != account:
            wrong["have another key than their account_id"].append(seen)
    if not wrong:
        return Finding("keys", Verdict.OK, f"each is the account_id of its body, in {len(records)} records")
    found = "; ".join(f"{len(those)} {what} (such as {those[0].place})" for what, those in wrong.items())
    return Finding(
        "keys",
        Verdict.PROBLEM,
        f"of {len(records)} records, {found}",
        "The worker sends them to the dead letters; let producers write the account_id as the key, in UTF-8",
    )


def _clock(records: Sequence[Seen], now_ms: int) -> Finding:
    """Hold this machine's clock against the newest timestamp: that of a producer, or of the broker where it appends it."""
    newest = max(records, key=lambda seen: seen.timestamp_ms)
    age_ms = now_ms - newest.timestamp_ms
    if newest.timestamp_ms < 0:
        return Finding("clock", Verdict.UNKNOWN, "the latest records have no timestamps")
    if age_ms < -AHEAD_MS:
        return Finding(
            "clock",
            Verdict.PROBLEM,
            f"{newest.place} has a timestamp {-age_ms / 1000:.0f} s ahead of this machine",
            "Set both clocks by NTP: this machine's, and that of the producer (with LogAppendTime: the broker)",
        )
    if age_ms > RECENT_MS:
        return Finding(
            "clock",
            Verdict.UNKNOWN,
            f"this machine is not behind, but may be ahead: the newest record is {age_ms / 1000:.0f} s old",
            "Run this again while events flow",
        )
    return Finding("clock", Verdict.OK, f"within {RECENT_MS // 1000} s of the newest record ({newest.place})")


# -- state --------------------------------------------------------------------------------------------------------


def state_findings(
    settings: Settings, counts: Mapping[str, int], program: Program | None
) -> Iterator[Finding]:
    """Yield whether the state was written under the present partition count, and under the layout of ``program``."""
    name = settings.changelog
    partitions = counts.get(name, 0)
    try:
        records = [
            seen
            for count, first in ((FIRST_OF_STATE, True), (LATEST_OF_STATE, False))
            for seen in _read(
                settings, [Span(name, number, count, first) for number in range(partitions)], "read_committed"
            )
        ]
    except LatidoError as error:
        yield Finding("state", Verdict.PROBLEM, str(error))
        return
    rows = [seen for seen in records if seen.key and not seen.key.startswith(RESERVED) and seen.value]
    if not rows:
        yield Finding("state", Verdict.OK, "there is none yet")
        return
    yield _state_count(records, rows, partitions)
    yield _state_layout(rows, program)


def _state_count(records: Sequence[Seen], rows: Sequence[Seen], partitions: int) -> Finding:
    written = [
        msgspec.json.decode(seen.value)["partitions"] for seen in records if seen.key == META and seen.value
    ]
    others = sorted({str(count) for count in written if count != partitions})
    moved = misplaced(rows, partitions)
    if not (others or moved):
        return Finding("state, partition count", Verdict.OK, f"written for {partitions}")
    count = f"for {' and '.join(others)} partitions" if others else "for another partition count"
    return Finding(
        "state, partition count",
        Verdict.PROBLEM,
        f"written {count}, there are {partitions} now ({len(moved)} of {len(rows)} rows lie elsewhere)",
        "Set the topics back, or start a new application: give LATIDO_APPLICATION_ID a new name and create its topics",
    )


def _state_layout(rows: Sequence[Seen], program: Program | None) -> Finding:
    if program is None:
        return Finding("state, layout", Verdict.UNKNOWN, "the policy does not load, see above")
    mark = program.layout.fingerprint
    latest = {seen.partition: seen for seen in rows}.values()
    other = [seen for seen in latest if not (seen.value or b"").startswith(mark)]
    if not other:
        return Finding("state, layout", Verdict.OK, "the one of the policy and its models")
    return Finding(
        "state, layout",
        Verdict.OK,
        f"the latest rows of {len(other)} of {len(latest)} partitions have another than the policy's "
        f"{program.policy.policy!r} (such as {other[0].place}); a worker reads them, and what is new warms up",
    )
