"""Dead letters told to people. What others wrote is shown with every control character spelled out: a terminal obeys none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents.tables import table_text
from schemas.events import OCCURRED_AT_MIN_MS
from schemas.reasons import EventNote, RejectReason
from streams.instants import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.control_topic import Halt
    from agents.letters import Letter
    from agents.retry import Verdict

CELL: Final = 60
TEXT_SHOWN: Final = 4_000
HEX_SHOWN: Final = 512
HEX_ROW: Final = 16
MINUTE_MS: Final = 60_000


class Advice(NamedTuple):
    """What usually causes a reason, and what to do."""

    cause: str
    remedy: str


ADVICE: Final[dict[str, Advice]] = {
    RejectReason.EMPTY_VALUE: Advice(
        "a producer deletes by a record without a value, as in a compacted topic",
        "inputs are streams of events: nothing is deleted there. Let the producer leave it out; there is nothing to retry",
    ),
    RejectReason.VALUE_TOO_LARGE: Advice(
        "an attachment or a whole page rides in the event",
        "let the producer send what docs/catalogue.md names and leave the rest out; send the event again in short",
    ),
    RejectReason.NOT_JSON: Advice(
        "another serializer (Avro, Protobuf, a schema registry's first bytes), text cut in the middle, or not UTF-8",
        "set the producer to JSON in UTF-8, without a registry's header; send the events again",
    ),
    RejectReason.WRONG_TYPE: Advice(
        "a field is missing or was renamed, or a number is sent as text; the detail names the field",
        "mend the producer by schemas/json; send the events again. If a newer latido takes the field, upgrade and retry",
    ),
    RejectReason.BAD_ACCOUNT_ID: Advice(
        "an event without a customer (a visitor, a test), or an id padded with control characters",
        "leave such events out, or clean the id before it is sent",
    ),
    RejectReason.KEY_MISSING: Advice(
        "the producer sets no key",
        "produce with account_id as the key; then `retry --rekey` sends what is here, keyed by its body",
    ),
    RejectReason.KEY_MISMATCH: Advice(
        "the key is another id (a user's), or serialized as JSON, in quotes",
        "produce with the plain account_id as the key; if the bodies are right, `retry --rekey` sends what is here",
    ),
    RejectReason.IMPLAUSIBLE_TIME: Advice(
        "seconds sent as milliseconds, or a clock that was never set",
        "send occurred_at as RFC 3339 or in milliseconds; send the events again",
    ),
    RejectReason.WRONG_PARTITION: Advice(
        "a client whose default partitioner is not murmur2 (librdkafka and what is built on it: C, Python, Go, .NET, Ruby)",
        "set its partitioner (librdkafka: murmur2_random), see `latido doctor`; then retry: letters go where they belong",
    ),
    RejectReason.TOO_MANY_ACCOUNTS: Advice(
        "the partition has as many accounts as the policy allows: it has grown, or somebody makes up ids",
        "raise accounts_max of the policy, let quiet accounts retire, or stop who makes up ids; then retry",
    ),
}
UNKNOWN: Final = Advice(
    "a newer latido wrote this letter", "upgrade this one, or look the reason up in its docs/semantics.md"
)


# -- what others wrote --------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    """Return a text in which whatever is not printed as a character is spelled out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def visible_bytes(raw: bytes) -> str:
    """Return bytes as ``visible`` text; those that are not UTF-8 by their numbers."""
    return visible(raw.decode("utf-8", "backslashreplace"))


def start_of(raw: bytes, width: int = CELL) -> str:
    """Return how bytes begin, in one cell."""
    text = visible_bytes(raw)
    return text if len(text) <= width else text[: width - 3] + "..."


def whole_text(raw: bytes) -> list[str]:
    """Return bytes as lines: text, or where they are none a hexadecimal dump; at most some thousand characters."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        rows = [_hex_row(raw, at) for at in range(0, min(len(raw), HEX_SHOWN), HEX_ROW)]
        return [*rows, *_left_out(len(raw) - HEX_SHOWN, "bytes")]
    return [visible(text[:TEXT_SHOWN]), *_left_out(len(text) - TEXT_SHOWN, "characters")]


def _hex_row(raw: bytes, at: int) -> str:
    row = raw[at : at + HEX_ROW]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)  # noqa: PLR2004 - ASCII
    return f"{at:08x}  {row.hex(' '):<{3 * HEX_ROW}} |{text}|"


def _left_out(count: int, what: str) -> list[str]:
    return [f"... {count} more {what}"] if count > 0 else []


# -- list ---------------------------------------------------------------------------------------------------------


class Counts:
    """Counts letters by reason and input, with the time of the oldest and the newest of each."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._times: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, letter: Letter) -> None:
        """Count one."""
        kind = letter.reason, letter.topic
        self.total += 1
        self._counts[kind] += 1
        oldest, newest = self._times.get(kind, (letter.timestamp_ms, letter.timestamp_ms))
        self._times[kind] = min(oldest, letter.timestamp_ms), max(newest, letter.timestamp_ms)

    def table(self) -> str:
        """Return them, most first."""
        rows = [
            (
                visible(reason),
                visible(topic),
                str(count),
                *map(time_text, self._times[reason, topic]),
            )
            for (reason, topic), count in self._counts.most_common()
        ]
        return table_text(["reason", "input", "letters", "oldest", "newest"], rows, numbers=["letters"])


def letters_table(letters: Iterable[Letter]) -> str:
    """Return letters, a line each."""
    rows = [
        (
            each.name,
            visible(each.reason),
            visible(each.topic),
            "" if each.account is None else start_of(each.account.encode("utf-8", "surrogatepass"), 40),
            time_text(each.timestamp_ms),
            start_of(each.start),
        )
        for each in letters
    ]
    return table_text(["letter", "reason", "input", "account", "rejected at", "value"], rows)


def letter_json(letter: Letter) -> dict[str, Any]:
    """Return the head of a letter as JSON can hold it."""
    return {
        "letter": letter.name,
        "reason": letter.reason,
        "detail": letter.detail,
        "input": letter.topic,
        "partition": letter.source_partition,
        "offset": letter.source_offset,
        "account_id": letter.account,
        "rejected_at": time_text(letter.timestamp_ms),
        "key": letter.key_text,
        "key_bytes": letter.key_bytes,
        "value_bytes": letter.value_bytes,
        "value_start": letter.start.decode("utf-8", "backslashreplace"),
    }


def time_text(at_ms: int) -> str:
    """Return an instant as text; of a record without a time nothing."""
    return instant_text(at_ms) if at_ms >= OCCURRED_AT_MIN_MS else "no time"


# -- show ---------------------------------------------------------------------------------------------------------


def letter_text(letter: Letter, value: bytes, original_ms: int | None, *, retried: bool) -> str:
    """Return everything of one letter; ``original_ms`` is the time of the rejected record, None if that is gone."""
    advice = ADVICE.get(letter.reason, UNKNOWN)
    when = "gone from there since (retention)" if original_ms is None else f"of {time_text(original_ms)}"
    key = "none" if letter.key is None else start_of(letter.key, 200)
    cut = "" if letter.value_bytes == len(value) else f", of which {len(value)} are here"
    lines = [
        f"letter {letter.name}: {visible(letter.reason)}, rejected at {time_text(letter.timestamp_ms)}",
        f"what is wrong  {visible(letter.detail)}",
        f"its record     {visible(letter.topic)} partition {letter.source_partition} offset {letter.source_offset}, {when}",
        f"account        {visible(letter.account or 'not known')}",
        f"usual cause    {advice.cause}",
        f"what to do     {advice.remedy}",
        f"retried        {'yes' if retried else 'no'}",
        f"key            {letter.key_bytes} bytes: {key}",
        f"value          {letter.value_bytes} bytes{cut}:",
    ]
    return "\n".join([*lines, *whole_text(value)])


# -- retry --------------------------------------------------------------------------------------------------------

MEANING: Final = {
    EventNote.DUPLICATE: "its event was taken already (its id or natural key is remembered), so it would change nothing",
    EventNote.ERASED: "its account was erased, and what happened before that is left out, so it would change nothing",
    EventNote.MERGED: "its account was merged into another one, and what happened before that is left out",
    EventNote.TOO_LATE: "older than a window that is kept: what is beyond it is not counted",
    EventNote.LATE_FOR_RHYTHM: "older than the account's last activity: it is counted, the rhythm (of silence) leaves it out",
    EventNote.FUTURE_CLAMPED: "it was of the future when its record came: it counts as of then",
    EventNote.AMOUNT_LEFT_OUT: "its amount is in no sum",
    EventNote.UNKNOWN_VALUE: "its kind is not known: it counts as an event of its account and nothing else",
}


def verdict_text(verdict: Verdict) -> str:
    """Return what becomes of one letter."""
    letter, judged, record = verdict.letter, verdict.judged, verdict.record
    head = f"{letter.name} {visible(letter.reason)}: "
    if judged is None or record is None:
        return f"{head}not sent, {verdict.why}"
    if judged.reason is not None:
        again = "the same reason again" if judged.reason == letter.reason else str(judged.reason)
        return f"{head}not sent, {again}: {visible(judged.detail)}"
    meanings = [meaning for note, meaning in MEANING.items() if note in judged.notes]
    if not verdict.is_sent:
        return f"{head}not sent, {meanings[0]}"
    where = f"to {visible(letter.topic)} partition {record.partition}"
    gone = [] if record.original else ["its record is gone: sent with the letter's time, without headers"]
    account = visible(letter.body_account or "")
    told = "; ".join([*(meanings or ["it counts in full"]), *gone])
    return f"{head}accepted, {where}, account {account}, {lateness(judged.late_ms)}; {told}"


def lateness(late_ms: int) -> str:
    """Return by how much an event is late, in the two largest units."""
    if late_ms < MINUTE_MS:
        return "less than a minute late"
    minutes = late_ms // MINUTE_MS
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) + " late"


NO_LOOK_BACK: Final = (
    "What was told is not rewritten: scores and alerts are judged as of now, not as of the event."
)


def outcome_text(sent: int, others: Sequence[str], *, really: bool) -> str:
    """Return the end of a report; ``others`` are reasons (as text) for which letters are not sent."""
    count = Counter(others)
    left = ", ".join(f"{number} {why}" for why, number in count.most_common()) or "none"
    verb = "sent" if really else "would be sent; `--send` sends"
    return f"{sent} {verb}, {len(others)} not ({left})."


def halts_text(halts: Iterable[Halt]) -> str:
    """Return which inputs stand still, so that what is sent there waits."""
    return "\n".join(
        f"{halt} is halted: what is sent there waits until `latido dead-letters resume` or `skip`"
        for halt in halts
    )
