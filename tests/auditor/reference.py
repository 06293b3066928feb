"""The auditor: a slow reference that computes from recorded events what latido must say, written from the documents.

    control.py: what counts from when
    records -> decode -> merge by key -> duplicates -> accounts (every instant, one by one) -> messages
    wire.py    event.py  partition.py                  account.py, instants.py                standing.py, episode.py

An account's `history.py` knows what happened (`facts.py`, `rhythm.py`, `slots.py`), `metrics.py` and `score.py` measure
it, `conditions.py` and `banddrop.py` judge the rules (`rules_*.py`).

It shares no code with the kernel: plain dictionaries and lists, exact fractions, all events kept, everything
evaluated at every instant of `docs/semantics.md`. Doubles appear only where that page asks for them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from schemas.topics import Input
from tests.auditor.control import counting, merges, muting
from tests.auditor.event import Event, Recorded, plausible_ms
from tests.auditor.exact import DAY_MS, partition_of
from tests.auditor.partition import Lane, Partition, decode_lane
from tests.auditor.recorded_file import read_recorded
from tests.auditor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.reasons import Merged
    from tests.auditor.control import Said
    from tests.auditor.standing import Payload

__all__ = ["Audit", "Recorded", "audit", "audit_file"]

DeadLetter = tuple[Input | None, int, int, str]


@dataclass
class Audit:
    """What must have gone out.

    Lists run partition by partition. Within one, messages of one account are in processing order (nothing orders
    the accounts of one sweep of the clock), and dead letters are by input and offset.

    Attributes:
        score_changes: payloads of the topic of the same name.
        shadow_scores: likewise.
        disengagements: likewise, without `summary`.
        opportunities: likewise.
        dead_letters: (input, partition, offset, reason); the input is None for a line that belongs to none.
        notes: how often each `EventNote` was made of an event that was taken.
        final: per account its partition, `models` (per model score and coverage in thousandths, band), open episodes
            with their topic and reasons, last active day and number of known gaps.
        halts: (partition, input, offset of the 100th reject in a row).
        left: how many accepted events were not taken: beyond the end, or behind a halt.
        gone: the accounts of which nothing is left, each time that it was said.
        moved: what became of merges and joins, partition by partition in their order.
    """

    score_changes: list[Payload] = field(default_factory=list)
    shadow_scores: list[Payload] = field(default_factory=list)
    disengagements: list[Payload] = field(default_factory=list)
    opportunities: list[Payload] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    final: dict[str, Payload] = field(default_factory=dict)
    halts: list[tuple[int, Input, int]] = field(default_factory=list)
    left: int = 0
    gone: list[str] = field(default_factory=list)
    moved: list[tuple[int, Merged]] = field(default_factory=list)


def audit(
    records: Sequence[Recorded],
    *,
    policy: dict[str, Any],
    models: dict[str, dict[str, Any]],
    partitions: int,
    until_ms: int | None,
    keyed: bool,
    control: Sequence[Said] = (),
) -> Audit:
    """Compute what must come out of a replay of records.

    Args:
        records: all records of all partitions, in log order per input and partition.
        policy: the tree of a policy file.
        models: the trees of the model files that the policy names, by name.
        partitions: the partition count of the inputs.
        until_ms: the end of the replay, None for the end of the records.
        keyed: records come from topics: keys are checked, and the time of a record is that of the broker. Else they
            are lines of a recorded file: there are no keys, `received_at` is a field, and what lies in the future is
            judged against the other inputs of the file.
        control: the records of the control topic; in a recorded file all are taken before its first event.
    """
    settings = read_settings(policy, models)

    def lanes_of(partition: int, offered: Sequence[Recorded]) -> dict[Input, Lane]:
        mine = [record for record in offered if record.partition == partition]
        return {
            source: decode_lane([r for r in mine if r.input is source], settings, partitions, keyed=keyed)
            for source in Input
        }

    def reached_ms(partition: int, number: int) -> float:
        lanes = lanes_of(partition, records[:number])
        return max((event.time_ms for lane in lanes.values() for event in lane.events), default=-inf)

    lanes = {number: lanes_of(number, records) for number in range(partitions)}
    if not keyed:
        _clamp_to_other_inputs(records, lanes)
    result = Audit()
    found = []
    for number in range(partitions):
        topic = counting(control, partial(reached_ms, number))
        mine = [merge for merge in merges(topic) if partition_of(merge.old, partitions) == number]
        found.append(Partition(number, settings, muting(topic), mine))
    last = max((one.after for one in control), default=0)
    _run(found, lanes, until_ms, [reached_ms(number, last) for number in range(partitions)])
    for partition in found:
        _add(result, partition)
    return result


def _run(
    partitions: Sequence[Partition],
    lanes: dict[int, dict[Input, Lane]],
    until_ms: int | None,
    reached_ms: Sequence[float],
) -> None:
    """Run partitions side by side, so that an account that comes from one of them to another is there in time.

    `reached_ms` is the largest key that each had been offered as it heard of joins, behind all other control records.
    """
    runs = [partition.run(lanes[partition.number], until_ms) for partition in partitions]
    places = [next(run, inf) for run in runs]
    while (place := min(places)) < inf:
        number = places.index(place)
        places[number] = next(runs[number], inf)
        made, partitions[number].made = partitions[number].made, []
        for join in made:
            home = partition_of(join.new, len(partitions))
            counts_ms = join.at_ms if join.at_ms > reached_ms[home] else int(reached_ms[home]) + 1
            partitions[home].expect(join._replace(at_ms=counts_ms))
            places[home] = min(places[home], counts_ms)


def _clamp_to_other_inputs(records: Sequence[Recorded], lanes: dict[int, dict[Input, Lane]]) -> None:
    """Set back events that say nothing of when they were received, if no other input of the file is within a day."""
    largest = {
        source: max((plausible_ms(r.value) for r in records if r.input is source), default=-inf)
        for source in Input
    }
    for source, lane in (each for mine in lanes.values() for each in mine.items()):
        others = max(largest[i] for i in Input if i is not source)
        lane.events = [_clamped(event, others) for event in lane.events]


def _clamped(event: Event, others_ms: float) -> Event:
    if event.timestamp_ms >= 0 or others_ms == -inf or event.time_ms <= others_ms + DAY_MS:
        return event
    return event.clamped_to(int(others_ms))


def _add(result: Audit, partition: Partition) -> None:
    result.score_changes += partition.outputs.score_changes
    result.shadow_scores += partition.outputs.shadow_scores
    result.disengagements += partition.outputs.disengagements
    result.opportunities += partition.outputs.opportunities
    result.dead_letters += [
        (source, partition.number, reject.offset, reject.reason.value) for source, reject in partition.rejects
    ]
    result.notes += partition.notes
    result.left += partition.left
    result.gone += partition.gone
    result.moved += [(partition.number, outcome) for outcome in partition.moved]
    result.final |= {name: account.final() for name, account in partition.accounts.items()}
    result.halts += [(partition.number, source, offset) for source, offset in partition.halts]


def audit_file(
    path_of_jsonl: Path,
    partitions: int,
    until_ms: int | None,
    policy_path: Path,
    models_path: Path | None = None,
) -> Audit:
    """Compute what must come out of a replay of a recorded file.

    Args:
        path_of_jsonl: one event a line, with `type` and optionally `received_at`.
        partitions: how many partitions the accounts are spread over.
        until_ms: the end of the replay, None for the end of the file.
        policy_path: the policy file.
        models_path: the folder of the model files; None: `models` beside the policy's own folder.
    """
    policy = yaml.safe_load(policy_path.read_text())
    folder = models_path or policy_path.parent.parent / "models"
    models = {name: yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in policy["models"]}
    records, broken = read_recorded(path_of_jsonl.read_bytes(), partitions)
    result = audit(
        records, policy=policy, models=models, partitions=partitions, until_ms=until_ms, keyed=False
    )
    lines: list[DeadLetter] = [(None, 0, line, reason.value) for line, reason in broken]
    return replace(result, dead_letters=lines + result.dead_letters)
