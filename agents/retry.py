"""Dead letters tried again: each judged by the core of today, those that it accepts sent to their input, and noted.

What is sent and the note of it go out in one transaction of a producer whose name is fixed: a second retry ends the
first, whatever it was doing, and then reads the notes. So what was noted is sent once. Workers take what lies in an input
without waiting for the end of a transaction, therefore what an interrupted retry had sent may count; the memory of ids then
takes the repeat for one, if it comes before the day is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from agents.clients import RECORD_BYTES_MAX
from agents.letters import Lookup, contents, headers_of
from agents.rejudge import Judge, Judged
from schemas.errors import BrokerError
from schemas.outputs import RETRIED_FROM
from schemas.reasons import EventNote, RejectReason
from schemas.topics import INPUT_BY_NAME, MIB, Output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from confluent_kafka import Message

    from agents.letters import Letter
    from agents.settings import Settings
    from streams.plan import Program

TRANSACTION_LETTERS: Final = 500
TRANSACTION_BYTES: Final = 16 * MIB
TRANSACTION_TIMEOUT_MS: Final = 60_000
REQUEST_TIMEOUT_S: Final = 30.0
OF_KEYS: Final = (RejectReason.KEY_MISSING, RejectReason.KEY_MISMATCH)
"""What ``rekey`` mends."""

Headers = list[tuple[str, bytes]]


class Record(NamedTuple):
    """What is sent: the rejected record as it was, in the partition of its key; ``timestamp_ms`` is -1 where it has none.

    ``original`` is False if the record itself is gone: then the timestamp is that of its letter, and there are no headers.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: Headers
    original: bool


IN_VAIN: Final = frozenset((EventNote.DUPLICATE, EventNote.ERASED, EventNote.MERGED))
"""An event of which this is told changes nothing; one of an erased account would only be personal data once more."""


class Verdict(NamedTuple):
    """What becomes of a letter; ``judged`` is None if it cannot be judged, which ``why`` then says."""

    letter: Letter
    judged: Judged | None
    record: Record | None
    why: str = ""

    @property
    def is_sent(self) -> bool:
        """Whether sending it changes anything."""
        judged = self.judged
        return judged is not None and judged.reason is None and not judged.notes & IN_VAIN


def verdicts(
    settings: Settings, judge: Judge, letters: Iterable[Letter], *, rekey: bool
) -> Iterator[Verdict]:
    """Judge letters in the order of their inputs, partitions and offsets.

    Raises:
        BrokerError: the broker does not answer.
    """
    name = settings.topic_prefix + Output.DEAD_LETTERS
    with Lookup(settings, "read_committed") as dead, Lookup(settings, "read_uncommitted") as inputs:
        for letter in in_order(letters):
            message = dead.at(name, letter.partition, letter.offset)
            found = None if message is None else contents(message).letter
            if message is None or found != letter:
                yield Verdict(letter, None, None, "retention has just deleted it")
            else:
                yield _verdict(settings, judge, letter, message, inputs, rekey=rekey)


def in_order(letters: Iterable[Letter]) -> list[Letter]:
    """Return letters as their records lay: by input, partition, offset."""
    return sorted(letters, key=lambda each: (each.topic, each.source_partition, each.source_offset))


def key_sent(letter: Letter, *, rekey: bool) -> bytes | None:
    """Return the key with which a letter is sent."""
    if rekey and letter.reason in OF_KEYS and letter.body_account is not None:
        return letter.body_account.encode("utf-8", "surrogatepass")
    return letter.key


def _verdict(
    settings: Settings, judge: Judge, letter: Letter, message: Message, inputs: Lookup, *, rekey: bool
) -> Verdict:
    value = message.value() or b""
    topic = INPUT_BY_NAME.get(letter.topic)
    if topic is None:
        return Verdict(letter, None, None, f"this version of latido knows no input {letter.topic!r}")
    if letter.value_bytes > len(value) or letter.key_bytes > len(letter.key or b""):
        whole = f"a key of {letter.key_bytes} and a value of {letter.value_bytes} bytes"
        return Verdict(letter, None, None, f"it is cut: its record had {whole}, more than a letter holds")
    source = settings.topic_prefix + letter.topic
    original = inputs.at(source, letter.source_partition, letter.source_offset)
    if original is not None and (original.key(), original.value() or b"") != (letter.key, value):
        original = None  # the topic was made anew
    stamp_ms = letter.timestamp_ms if original is None else original.timestamp()[1]
    headers = [] if original is None else headers_of(original)
    key = key_sent(letter, rekey=rekey)
    judged = judge.judge(topic, key, value, stamp_ms, letter.source_partition)
    record = Record(source, judged.partition, key, value, stamp_ms, headers, original is not None)
    return Verdict(letter, judged, record)


def judge_for(
    settings: Settings, program: Program, partitions: int, letters: Sequence[Letter], *, rekey: bool
) -> Judge:
    """Return a judge that knows the accounts of these letters.

    Raises:
        BrokerError: the broker does not answer.
        StateError: the state cannot be read under this program.
    """
    keys = {key for letter in letters if (key := key_sent(letter, rekey=rekey)) is not None}
    return Judge(settings, program, partitions, keys)


class Sender:
    """Sends records and notes them, some hundreds in a transaction."""

    def __init__(self, settings: Settings) -> None:
        self.committed = 0
        self._notes = settings.topic_prefix + Output.DEAD_LETTERS
        self._settings = settings
        self._open, self._open_bytes = 0, 0

    def __enter__(self) -> Self:
        """End what an earlier retry had begun.

        Raises:
            BrokerError: the broker refuses.
        """
        options: dict[str, Any] = {
            "bootstrap.servers": self._settings.broker,
            "transactional.id": f"{self._settings.application_id}-dead-letters-retry",
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "message.max.bytes": RECORD_BYTES_MAX,
            "compression.type": "zstd",
            "log_level": 0,
        }
        self._producer = Producer(options)
        self._tried(self._producer.init_transactions, REQUEST_TIMEOUT_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit what is open, or after a failure abort it."""
        if kind is None:
            self.commit()
        elif self._open:
            try:
                self._producer.abort_transaction(REQUEST_TIMEOUT_S)
            except KafkaException:  # then the broker does, when it times out or the next retry comes
                return

    def send(self, verdict: Verdict) -> None:
        """Send one and note it.

        Raises:
            BrokerError: it cannot be sent; nothing of the open transaction counts then.
        """
        record = verdict.record
        assert record is not None
        if not self._open:
            self._tried(self._producer.begin_transaction)
        mark = (RETRIED_FROM, verdict.letter.name.encode())
        stamp = {} if record.timestamp_ms < 0 else {"timestamp": record.timestamp_ms}
        self._tried(
            self._producer.produce,
            record.topic, record.value, record.key, record.partition, headers=[*record.headers, mark], **stamp,
        )  # fmt: skip
        self._tried(
            self._producer.produce, self._notes, None, record.key, verdict.letter.partition, headers=[mark]
        )
        self._open += 1
        self._open_bytes += len(record.value)
        if self._open >= TRANSACTION_LETTERS or self._open_bytes >= TRANSACTION_BYTES:
            self.commit()

    def commit(self) -> None:
        """End the open transaction.

        Raises:
            BrokerError: nothing of it counts.
        """
        if self._open:
            self._tried(self._producer.commit_transaction, REQUEST_TIMEOUT_S)
            self.committed += self._open
            self._open, self._open_bytes = 0, 0

    def _tried(self, call: Any, *arguments: Any, **named: Any) -> None:
        try:
            call(*arguments, **named)
        except (KafkaException, BufferError) as error:
            raise BrokerError(
                f"{self.committed} letters were sent before this; then {self._settings.broker} refused ({_told(error)}). "
                "Those that were sent are noted: run the same command again, today, for the rest."
            ) from None


def _told(error: Exception) -> str:
    told = error.args[0] if error.args else error
    if not isinstance(told, KafkaError):
        return str(told)
    if told.code() in {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH}:  # noqa: SLF001 - its documented name
        return "another retry has begun meanwhile"
    return told.str()
