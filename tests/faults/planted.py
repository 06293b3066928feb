"""Bugs to plant into the worker, each of which the judge must find within some seeds: a test of the simulation."""

from __future__ import annotations

from typing import Final

from agents import batching, beside, clients, commit, control_log, drive, ownership, partition
from streams import brake, control, erased, inflow, succession
from tests.planting import Bug

BUGS: Final = (
    Bug(
        "nobody is fenced",
        ownership.TransactionFence.fence,
        "await transactional_producer(self._connection, transactional_id)",
        "await transactional_producer(self._connection, f'{transactional_id}-of-nobody')",
        seed=46,
    ),
    Bug(
        "the transaction is committed before its batches were acknowledged",
        commit.Committer.commit,
        "ends = await shipment.settle()\n    await self._producer.commit_transaction()",
        "await self._producer.commit_transaction()\n    ends = await shipment.settle()",
        seed=141,
    ),
    Bug(
        "the position of an input is forgotten",
        partition.Partition.drain,
        "if self._committed.get(topic, Progress()) != progress",
        "if self._committed.get(topic, Progress()) != progress and topic != 1",
    ),
    Bug(
        "the last stable offset is taken for the end of an input",
        batching._ConsumerThread._poll,
        "state.position >= state.highwater",
        "state.position >= state.lso",
        seed=119,
    ),
    Bug(
        "a poll of an older assignment is processed",
        drive.Drive.take,
        "not self.accepting or poll.generation != self.generation",
        "not self.accepting",
        seed=7,
    ),
    Bug(
        "a revoked partition is still processed",
        drive.Drive.take,
        "not self.accepting or poll.generation != self.generation",
        "poll.generation != self.generation",
        seed=9,
    ),
    Bug(
        "memory is kept although somebody else wrote meanwhile",
        ownership.Ownership.take,
        "self.holdings[partition] = Holding(self._new_partition(partition))\n        return 0",
        "return None",
        seed=24,
    ),
    Bug(
        "the changelog is read to the last stable offset after the claim",
        ownership.Ownership._take_over,
        "changelog.high_watermarks(self.holdings)",
        "changelog.stable_ends(self.holdings)",
        seed=16,
    ),
    Bug(
        "an answer counts from when it came, not from when it was asked for",
        clients.FetchLog._logged_fetch,
        "self.asked_ms[tp] = asked_ms",
        "self.asked_ms[tp] = time.time_ns() // 1_000_000",
        seed=105,
    ),
    Bug(
        "a fetch of markers alone leaves a hole",
        batching._ConsumerThread._poll,
        "    carrier = next(",
        "    self._positions.update((tp, state.position) for tp, state in ready.items())\n    carrier = next(",
        seed=3,
    ),
    Bug(
        "a takeover forgets what the brake holds",
        brake.Brake.load,
        "self._waiting[account] = msgspec.msgpack.decode(value, type=_Waiting)",
        "self._waiting.pop(account, None)",
        seed=4,
    ),
    Bug(
        "a late control record counts from the time that it names",
        control.Control.take,
        "max(said_ms, reached_ms + 1)",
        "said_ms",
        seed=7,
    ),
    Bug(
        "a control record counts from the clock on, whatever time it names",
        control.Control.take,
        "max(said_ms, reached_ms + 1)",
        "said_ms if clock_ms == NEVER_MS else reached_ms + 1",
        seed=4,
    ),
    Bug(
        "the clock is not kept",
        beside.Beside.complete,
        "if clock_ms > NEVER_MS:",
        "if False:",
        seed=240,
    ),
    Bug(
        "the hash of an erased account is not written",
        erased.Erased._put,
        "self._changed[_key(account)] = value + _BY_MERGE if is_merged else value",
        "_key(account)",
    ),
    Bug(
        "what ended is not written",
        partition.Partition.drain,
        "records = ended + self._memory.take_changed()",
        "records = self._memory.take_changed()",
        seed=7,
    ),
    Bug(
        "a takeover forgets that a source is stalled",
        inflow.Inflow.load,
        "self._saved, self._standing = value, msgspec.json.decode(value, type=_Standing)",
        "self._saved, self._standing = value, msgspec.json.decode(value, type=_Standing)\n"
        "        self._standing.sources.clear()",
    ),
    Bug(
        "a halted input goes on one record too late",
        drive.Drive._hear_control,
        "holding.input_next[topic] = offset",
        "holding.input_next[topic] = offset + 1",
        seed=24,
    ),
    Bug(
        "a join is written in a transaction of its own, before the account ends",
        commit.Committer.commit,
        "shipment = _Shipment(self._producer, self._compression)\n",
        "shipment = _Shipment(self._producer, self._compression)\n"
        "    for number, batch in list(work.items()):\n"
        "        if batch.control:\n"
        "            said = [(key, value, []) for key, value in batch.control]\n"
        "            await shipment.put_outputs(self._topics.control, 0, said)\n"
        "            work[number] = batch._replace(control=[])\n"
        "    if shipment.counts[False]:\n"
        "        await shipment.settle()\n"
        "        await self._producer.commit_transaction()\n"
        "        await self._producer.begin_transaction()\n",
        seed=12,
    ),
    Bug(
        "a join is read before it is committed",
        control_log.ControlLog.start,
        '"read_committed"',
        '"read_uncommitted"',
        seed=12,
    ),
    Bug(
        "a merge or join that counted is not struck from the changelog",
        control.Control.moved,
        "self._drop(entry.offset)",
        "del self._entries[entry.offset]",
    ),
    Bug(
        "a takeover forgets the joins to come",
        control.Control.load,
        "self._entries[entry.offset] = entry",
        "if not isinstance(entry.record, JoinAccount):\n            self._entries[entry.offset] = entry",
        seed=9,
    ),
    Bug(
        "a join that was taken in is not withdrawn",
        succession.succeed,
        "return outcome, [(control_key(stop.record), None)]",
        "return outcome, []",
        seed=9,
    ),
    Bug(
        "that it was a merge that ended an account is not written",
        erased.Erased._put,
        "value + _BY_MERGE if is_merged else value",
        "value",
        seed=9,
    ),
    Bug(
        "a joined account is not written",
        succession.join_account,
        "_fire(accounts, row, at_ms, clock_ms, emit, fx.BY_JOIN)",
        "_fire(accounts, row, at_ms, clock_ms, emit, fx.BY_JOIN)\n    accounts.cells.changed[row] = 0",
        seed=18,
    ),
)
