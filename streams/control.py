"""The control records that a partition has taken: what counts from when, and which policy is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from pydantic import ValidationError

from schemas.control import (
    ActivatePolicy,
    ControlRecord,
    GoLive,
    JoinAccount,
    MergeAccounts,
    Pause,
    Resume,
    ResumeInput,
    SkipInput,
    accounts_of,
    content_hash,
    control_key,
)
from schemas.errors import ConfigError, StateError
from schemas.events import OCCURRED_AT_END_MS, OCCURRED_AT_MIN_MS, is_account_id
from schemas.model_file import ModelFile
from schemas.policy import Policy
from schemas.topics import INPUT_BY_NAME, Input
from streams.cells import FOREVER
from streams.clock import NEVER_MS
from streams.days import DAY_MS
from streams.instants import cut_instants, instant_ms
from streams.kernel import WRITE_DAYS
from streams.murmur import partition_of
from streams.plan import Program, compile_program

if TYPE_CHECKING:
    import numpy.typing as npt

CONTROL: Final = b"\0control"
"""The key of what is in force; followed by a colon and an offset: a record that was taken."""
BEFORE: Final = b"\0control-before"
"""The key of the policy before, while accounts adopt another one."""
KEPT_MS: Final = (WRITE_DAYS + 2) * DAY_MS
"""How long an interval in the past is kept: of what is evaluated again after a takeover nothing lies further back."""
_RECORD: Final = msgspec.json.Decoder(ControlRecord)


class ControlLine(NamedTuple):
    """A record of the control topic; ``value`` is None if it withdraws."""

    offset: int
    key: bytes | None
    value: bytes | None


class Entry(NamedTuple):
    """A record that was taken: from ``at_ms`` on it counts; its place in the topic breaks ties."""

    at_ms: int
    offset: int
    record: ControlRecord
    value: bytes


class News(NamedTuple):
    """A bit for each model that was not in force before as it is now, and for each that went into shadow or out of it."""

    fresh: int
    moved: int


class Standing(msgspec.Struct):
    """How far a partition has taken the topic, the offset of the policy in force, the clock as that took hold."""

    next: int = 0
    policy: int | None = None
    clock_ms: int = NEVER_MS
    moved_ms: int = NEVER_MS  # from when the last merge or join counted


class _Content(msgspec.Struct):
    policy: dict[str, Any]
    models: list[dict[str, Any]]


def read_control(line: ControlLine) -> ControlRecord:
    """Return a record that does not withdraw.

    Raises:
        StateError: it cannot be read, or is not what it says.
    """
    value = line.value or b""
    try:
        record: ControlRecord = _RECORD.decode(value)
        cut_instants(record, value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(line, str(error)) from None
    if not OCCURRED_AT_MIN_MS <= instant_ms(record.effective_at) < OCCURRED_AT_END_MS:
        raise _refused(line, f"effective_at is {record.effective_at}, outside 1990..2099")
    if line.key is not None and line.key != control_key(record):
        raise _refused(line, f"its key should be {control_key(record).decode()!r}")
    for account in accounts_of(record):
        if not is_account_id(account):
            raise _refused(line, f"{account[:40]!r} is no id of an account")
    if isinstance(record, ActivatePolicy) and record.hash != content_hash(record.policy, record.models):
        raise _refused(line, "its hash is not that of its policy and models")
    if isinstance(record, ResumeInput | SkipInput) and record.input not in INPUT_BY_NAME:
        raise _refused(line, f"input is {record.input!r}; known: {', '.join(INPUT_BY_NAME)}")
    if isinstance(record, SkipInput) and record.to_offset <= record.offset:
        raise _refused(line, f"to_offset {record.to_offset} is not beyond offset {record.offset}")
    return record


def home_of(record: ControlRecord, partitions: int) -> int | None:
    """Return the one partition that a record concerns, None if it concerns all."""
    if isinstance(record, ResumeInput | SkipInput):
        return record.partition
    if isinstance(record, MergeAccounts):
        return partition_of(record.old.encode(), partitions)
    return partition_of(record.into.encode(), partitions) if isinstance(record, JoinAccount) else None


def _refused(line: ControlLine, why: str) -> StateError:
    key = (line.key or b"").decode("utf-8", "replace")
    return StateError(
        f"The control record {key!r} at offset {line.offset} cannot be followed: {why}. Upgrade latido if a newer one wrote "
        f"it; else withdraw it: `latido control withdraw {key!r}`."
    )


class Control:
    """What one partition follows of the control topic."""

    def __init__(
        self, program: Program, partition: int, partitions: int = 1, application: str | None = None
    ) -> None:
        """``application`` is the one whose joins are meant; None: any (a replay)."""
        self.program = program
        """What is in force."""
        self.before: Program | None = None
        """What was in force, while accounts adopt the present one."""
        self.clock_ms = NEVER_MS
        """The clock as the present policy took hold."""
        self.application = application
        self._partition, self._partitions = partition, partitions
        self._standing = Standing()
        self._entries: dict[int, Entry] = {}
        self._programs: dict[int, Program] = {}
        self._changed: dict[bytes, bytes | None] = {}

    @property
    def next_offset(self) -> int:
        """The offset of the first record that was not taken."""
        return self._standing.next

    def take(self, line: ControlLine, reached_ms: int, clock_ms: int) -> Entry | None:
        """Take the next record; return it with the instant from which it counts, None if it withdraws.

        ``reached_ms`` is the greatest instant that may have been evaluated. A record that concerns another partition alone is
        never late.

        Raises:
            StateError: it cannot be followed.
        """
        assert line.offset >= self._standing.next
        entry, is_mine, in_force = None, False, self._in_force()
        since_ms = NEVER_MS if in_force is None else in_force.at_ms
        reached_ms = max(reached_ms, since_ms, self._standing.moved_ms)
        if line.value is not None:
            record = read_control(line)
            said_ms, is_mine = instant_ms(record.effective_at), self._is_mine(record)
            at_ms = max(said_ms, reached_ms + 1) if is_mine else said_ms
            entry = Entry(at_ms, line.offset, record, line.value)
        key = line.key if entry is None else control_key(entry.record)
        for pending in list(self._entries.values()):
            if pending.at_ms > reached_ms and control_key(pending.record) == key:
                self._drop(pending.offset)
        self._standing.next = line.offset + 1
        if entry is not None and is_mine:
            self._entries[entry.offset] = entry
            self._changed[_key(entry.offset)] = entry.at_ms.to_bytes(8, "little") + entry.value
        self._forget(clock_ms)
        self._note()
        return entry

    def _is_mine(self, record: ControlRecord) -> bool:
        if isinstance(record, JoinAccount) and self.application not in (None, record.application):
            return False
        return home_of(record, self._partitions) in (None, self._partition)

    def _drop(self, offset: int) -> None:
        del self._entries[offset]
        self._programs.pop(offset, None)
        self._changed[_key(offset)] = None

    def _note(self) -> None:
        self._changed[CONTROL] = msgspec.json.encode(self._standing)

    def _forget(self, clock_ms: int) -> None:
        """Drop what cannot matter any more: intervals long past, and policies that were followed by another."""
        past = clock_ms - KEPT_MS
        for entry, end_ms in self._muting():
            if end_ms < past:
                self._drop(entry.offset)
        in_force = self._in_force()
        for entry in self._policies():
            if in_force is not None and entry < in_force:
                self._drop(entry.offset)

    # -- alerts ---------------------------------------------------------------------------------------------------

    def mutes(self) -> npt.NDArray[np.int64]:
        """Return the half-open intervals in which alerts are muted, (intervals, 2) in ms; they may lie within each other."""
        found = [
            (NEVER_MS if isinstance(entry.record, GoLive) else entry.at_ms, end_ms)
            for entry, end_ms in self._muting()
            if not isinstance(entry.record, Resume)
        ]
        return np.array(found, np.int64).reshape(len(found), 2)

    def _muting(self) -> list[tuple[Entry, int]]:
        """Return the records that mute, and those that end it, each with the end of its interval."""
        found: list[tuple[Entry, int]] = []
        inside: list[Entry] = []
        for entry in sorted(self._entries.values()):
            if isinstance(entry.record, Pause):
                inside.append(entry)
            elif isinstance(entry.record, Resume):
                found += [(each, entry.at_ms) for each in (*inside, entry)]
                inside = []
            elif isinstance(entry.record, GoLive):
                found.append((entry, entry.at_ms))
        return found + [(pause, FOREVER) for pause in inside]

    # -- halted inputs ----------------------------------------------------------------------------------------------

    def goes_on(self, topic: Input) -> dict[int, int]:
        """Return by offset of a halt of this partition's input where it is read on."""
        found = {}
        for _, entry in sorted(self._entries.items()):
            record = entry.record
            if not isinstance(record, ResumeInput | SkipInput):
                continue
            if INPUT_BY_NAME[record.input] is topic:
                found[record.offset] = (
                    record.to_offset if isinstance(record, SkipInput) else record.offset + 1
                )
        return found

    # -- policies ---------------------------------------------------------------------------------------------------

    def _policies(self) -> list[Entry]:
        return sorted(entry for entry in self._entries.values() if isinstance(entry.record, ActivatePolicy))

    def to_come(self) -> list[Entry]:
        """Return the policies to come, in their order; of those that count from one instant only the last does."""
        in_force = self._in_force()
        later = [entry for entry in self._policies() if in_force is None or entry.at_ms > in_force.at_ms]
        return list({entry.at_ms: entry for entry in later}.values())

    def moves(self) -> list[Entry]:
        """Return the merges and joins to come, in their order."""
        return sorted(
            entry for entry in self._entries.values() if isinstance(entry.record, MergeAccounts | JoinAccount)
        )

    def moved(self, entry: Entry) -> None:
        """Forget a merge or join: it has counted."""
        self._standing.moved_ms = entry.at_ms
        self._drop(entry.offset)
        self._note()

    def _in_force(self) -> Entry | None:
        return None if self._standing.policy is None else self._entries[self._standing.policy]

    def program_of(self, entry: Entry) -> Program:
        """Return the program of a policy to come.

        Raises:
            StateError: it cannot be compiled, or not follow the present one.
        """
        program = self._compiled(entry)
        skew, present = program.policy.max_future_skew_s, self.program.policy.max_future_skew_s
        if skew != present:
            raise _refused(_line(entry), f"its max_future_skew_s is {skew}, and has to stay {present}")
        return program

    def _compiled(self, entry: Entry) -> Program:
        record = entry.record
        assert isinstance(record, ActivatePolicy)
        if entry.offset not in self._programs:
            try:
                content = _Content(record.policy, record.models)
                self._programs[entry.offset] = _compiled(content, self.program, entry.at_ms)
            except (ValidationError, ConfigError) as error:
                raise _refused(_line(entry), f"this latido cannot compile its policy ({error})") from None
        return self._programs[entry.offset]

    def take_hold(self, entry: Entry, clock_ms: int) -> None:
        """Let a policy be in force from now on."""
        self.before, self.program, self.clock_ms = self.program, self.program_of(entry), clock_ms
        self._standing.policy, self._standing.clock_ms = entry.offset, clock_ms
        content = _Content(
            self.before.policy.model_dump(mode="json"),
            [model.model_dump(mode="json", by_alias=True) for model in self.before.models],
        )
        self._changed[BEFORE] = msgspec.json.encode(content)
        self._forget(clock_ms)
        self._note()

    def adopted(self) -> None:
        """Forget the policy before: all accounts have adopted the present one."""
        self.before, self._changed[BEFORE] = None, None

    def news(self) -> News:
        """Return what the present policy has made of models."""
        assert self.before is not None
        known, was = {model.model: model for model in self.before.models}, self.before.policy.shadow
        fresh = moved = 0
        for m, model in enumerate(self.program.models):
            fresh |= (known.get(model.model) != model) << m
            is_other = (model.model in was) != (model.model in self.program.policy.shadow)
            moved |= (model.model in known and is_other) << m
        return News(fresh, moved)

    # -- changelog --------------------------------------------------------------------------------------------------

    def take_changed(self) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of what changed since the last call."""
        records, self._changed = list(self._changed.items()), {}
        return records

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record.

        Raises:
            StateError: it cannot be followed by this program.
        """
        if key == CONTROL:
            assert value is not None
            self._standing = read_standing(value)
        elif key == BEFORE:
            content = None if value is None else msgspec.json.decode(value, type=_Content)
            self.before = None if content is None else _compiled(content, self.program, NEVER_MS)
        elif value is None:
            self._entries.pop(offset_of(key), None)
        else:
            entry = read_entry(key, value)
            self._entries[entry.offset] = entry

    def loaded(self) -> None:
        """Let what was loaded be in force."""
        self.clock_ms = self._standing.clock_ms
        in_force = self._in_force()
        if in_force is not None:
            self.program = self._compiled(in_force)


def _compiled(content: _Content, known: Program, from_ms: int) -> Program:
    policy = Policy.model_validate_json(msgspec.json.encode(content.policy))
    models = [ModelFile.model_validate_json(msgspec.json.encode(model)) for model in content.models]
    named = [model.model for model in models]
    if named != policy.models:
        raise ConfigError(
            f"the policy enables {', '.join(policy.models)}, and has the models {', '.join(named)}"
        )
    return compile_program(policy, models, known.zones, from_ms)


def _line(entry: Entry) -> ControlLine:
    return ControlLine(entry.offset, control_key(entry.record), entry.value)


def read_standing(value: bytes) -> Standing:
    """Return what the changelog record ``CONTROL`` says."""
    return msgspec.json.decode(value, type=Standing)


def read_entry(key: bytes, value: bytes) -> Entry:
    """Return the record that a changelog record under ``CONTROL`` with an offset keeps.

    Raises:
        StateError: it cannot be followed by this program.
    """
    offset = offset_of(key)
    record = read_control(ControlLine(offset, None, value[8:]))
    return Entry(int.from_bytes(value[:8], "little"), offset, record, value[8:])


def _key(offset: int) -> bytes:
    return CONTROL + b":%d" % offset


def offset_of(key: bytes) -> int:
    """Return the offset in the key of a changelog record that keeps one of the topic."""
    return int(key[len(CONTROL) + 1 :])
