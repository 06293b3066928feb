"""A fresh application: nothing is written of it and nobody runs it; its account table is held and written once.

It is held as a worker holds it (``ownership.py``): whoever starts meanwhile fences the seed, and nothing of it is committed.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka import KafkaError as Answer
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.changelog import HOLDER_PREFIX, ChangelogReader, holder_key, read_changelog
from agents.clients import TRANSACTION_TIMEOUT_MS as CLAIM_TIMEOUT_MS
from agents.clients import Connection, transactional_producer
from agents.commit import Committer, DeliveryTopics
from agents.ownership import Ownership, TransactionFence
from agents.partition import Partition
from agents.ports import NullObserver
from schemas.errors import BrokerError, StateError
from schemas.topics import INPUT_TOPICS, Input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from agents.commit import Pair
    from agents.ownership import Fence
    from agents.ports import Commit, DeliveryObserver
    from agents.settings import Settings
    from streams.plan import Program

TIMEOUT_S: Final = 10.0
SETTLING_MAX_S: Final = 20.0
ASK_EVERY_S: Final = 0.2
SETTLING: Final = frozenset(
    {
        Answer._TIMED_OUT,  # noqa: SLF001 - this is its documented name
        Answer.COORDINATOR_LOAD_IN_PROGRESS,
        Answer.COORDINATOR_NOT_AVAILABLE,
        Answer.LEADER_NOT_AVAILABLE,
        Answer.NOT_COORDINATOR,
        Answer.NOT_LEADER_FOR_PARTITION,
    }
)
TRANSACTION_TIMEOUT_MS: Final = 600_000
"""Of the one transaction: brokers allow 15 min unless they are told otherwise."""


def require_fresh(settings: Settings, partitions: int) -> None:
    """Check that nothing of the application is written and that nobody runs it.

    Raises:
        BrokerError: the broker does not answer.
        StateError: it is not fresh; with what to do.
    """
    client = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})
    members = _members(client, settings)
    if members:
        raise StateError(
            f"{members} worker(s) of the application {settings.application_id!r} run; seeding is for one that nobody runs yet. "
            "Stop them (one that was killed counts until its session has expired), and see whether it is fresh."
        )
    has_read = _has_read(client, settings, partitions)
    try:
        asyncio.run(_require_empty(settings, partitions, has_read=has_read))
    except KafkaError as error:
        raise _lost(settings, error) from error
    if has_read:
        raise _not_fresh(settings, partitions, "its workers have read the inputs: the group has offsets")


def _members(client: AdminClient, settings: Settings) -> int:
    group = settings.application_id
    found = _answer(
        settings, lambda: client.describe_consumer_groups([group], request_timeout=TIMEOUT_S)[group]
    )
    return 0 if found is None else len(found.members)


def _has_read(client: AdminClient, settings: Settings, partitions: int) -> bool:
    group, names = settings.application_id, _inputs(settings).values()
    asked = [TopicPartition(name, number) for name in names for number in range(partitions)]
    request = [ConsumerGroupTopicPartitions(group, asked)]
    found = _answer(
        settings, lambda: client.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S)[group]
    )
    return found is not None and any(place.offset >= 0 for place in found.topic_partitions)


def _answer(settings: Settings, ask: Callable[[], Future[Any]]) -> Any:
    """Return what is answered, None if no such group is known; while whom to ask is being settled it is asked again."""
    deadline_s = time.monotonic() + SETTLING_MAX_S
    while True:
        try:
            return ask().result(2 * TIMEOUT_S)
        except KafkaException as error:
            code = error.args[0].code()
            if code == Answer.GROUP_ID_NOT_FOUND:
                return None
            if code not in SETTLING or time.monotonic() > deadline_s:
                raise _lost(settings, error) from None
        except TimeoutError as error:
            raise _lost(settings, error) from None
        time.sleep(ASK_EVERY_S)


async def _require_empty(settings: Settings, partitions: int, *, has_read: bool) -> None:
    why = (
        "its account table holds state"
        if has_read
        else "it was seeded, and no worker has read anything since"
    )
    found = _Found(lambda: _not_fresh(settings, partitions, why))
    await read_changelog(Connection(settings.broker), settings.changelog, range(partitions), found)


class _Found:
    """Raises at the first record that is no holder's key (``ChangelogSink``)."""

    def __init__(self, error: Callable[[], StateError]) -> None:
        self._error = error

    def take(self, _partition: int, keys: list[bytes], _values: list[bytes | None]) -> None:
        """Take consecutive records."""
        if not all(key.startswith(HOLDER_PREFIX) for key in keys):
            raise self._error()


def _not_fresh(settings: Settings, partitions: int, why: str) -> StateError:
    kafka = f"--bootstrap-server {settings.broker} --delete"
    return StateError(
        f"the application {settings.application_id!r} is not fresh: {why}. Nothing was seeded. To go on with it start the "
        "workers. To seed from the beginning give LATIDO_APPLICATION_ID a new name, or forget this one: "
        f"kafka-consumer-groups.sh {kafka} --group {settings.application_id}; kafka-topics.sh {kafka} --topic "
        f"{settings.changelog}; then latido topics create --partitions {partitions}"
    )


def _lost(settings: Settings, error: Exception) -> BrokerError:
    why = str(error) or "nothing in time"
    return BrokerError(
        f"{settings.broker} does not answer as it should ({why}). Look at the broker and run the same command again: an "
        "application is seeded as a whole or not at all, and it says which."
    )


def first_unfolded(settings: Settings, partitions: int, from_ms: int | None) -> dict[tuple[int, Input], int]:
    """Return by partition and input the first offset whose record is not older than ``from_ms``, or the end if there is none.

    Without ``from_ms`` the first offset there is.

    Raises:
        BrokerError: the broker does not answer.
    """
    client = AdminClient({"bootstrap.servers": settings.broker, "log_level": 0})
    places = {
        TopicPartition(name, number): (number, topic)
        for topic, name in _inputs(settings).items()
        for number in range(partitions)
    }

    def offsets(wanted: OffsetSpec) -> dict[tuple[int, Input], int]:
        at_once = dict(client.list_offsets(dict.fromkeys(places, wanted), request_timeout=TIMEOUT_S))

        def ask(place: TopicPartition) -> Future[Any]:
            answer = at_once.pop(place, None)
            return answer or client.list_offsets({place: wanted}, request_timeout=TIMEOUT_S)[place]

        return {at: _answer(settings, partial(ask, place)).offset for place, at in places.items()}

    if from_ms is None:
        return offsets(OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    # The ends first: what comes after them is not older.
    ends = offsets(OffsetSpec.latest())  # type: ignore[no-untyped-call]
    found = offsets(OffsetSpec.for_timestamp(from_ms))
    return {place: offset if offset >= 0 else ends[place] for place, offset in found.items()}


def _inputs(settings: Settings) -> dict[Input, str]:
    return {topic: settings.topic_prefix + INPUT_TOPICS[topic].name for topic in Input}


class _Claim(NullObserver):
    """Cuts off who held the table before; who takes it after the own claim is a worker that started, and is left alone."""

    def __init__(self, fence: Fence) -> None:
        self._fence, self._is_made = fence, False

    def on_committed(self, commit: Commit) -> None:  # noqa: ARG002
        """The claim stands."""
        self._is_made = True

    async def fence(self, transactional_id: str) -> None:
        """Cut a former holder off.

        Raises:
            ProducerFenced: it is none: it took over.
        """
        if self._is_made:
            raise ProducerFenced
        await self._fence.fence(transactional_id)


class Hold:
    """All partitions of the account table, held until they are written or left as they were."""

    def __init__(self, settings: Settings, program: Program, partitions: int) -> None:
        self._settings, self._program, self._partitions = settings, program, partitions
        self._id = f"{settings.application_id}-seed-{uuid.uuid4().hex[:12]}"
        self._committer: Committer

    async def __aenter__(self) -> Self:
        """Hold them.

        Raises:
            StateError: somebody wrote to them since it was looked.
            BrokerError: the broker does not answer.
        """
        try:
            self._committer = await self._started(self._id, TRANSACTION_TIMEOUT_MS, NullObserver())
        except KafkaError as error:
            raise _lost(self._settings, error) from error
        try:
            await self._claim()
        except KafkaError as error:
            await self._committer.stop()
            raise self._told(error) from error
        except BaseException:
            await self._committer.stop()
            raise
        return self

    async def _started(self, transactional_id: str, timeout_ms: int, observer: DeliveryObserver) -> Committer:
        connection, topic = Connection(self._settings.broker), self._settings.changelog
        producer = await transactional_producer(connection, transactional_id, timeout_ms)
        return Committer(producer, DeliveryTopics(topic, {}), observer)

    async def _claim(self) -> None:
        """Put the key of the producer that is to write into all partitions, as ``ownership.py`` says.

        By another one with a short timeout: what a process that is killed here leaves open names no holder yet, so nobody
        can cut it off, and whoever comes next waits until it has timed out.
        """
        connection, topic = Connection(self._settings.broker), self._settings.changelog
        claim = _Claim(TransactionFence(connection))
        claimant = await self._started(f"{self._id}-claim", CLAIM_TIMEOUT_MS, claim)
        ownership = Ownership(
            self._id,
            claimant,
            fence=claim,
            open_changelog=lambda: ChangelogReader(connection, topic),
            new_partition=lambda number: Partition(
                self._program, partition=number, partitions=self._partitions
            ),
            observer=NullObserver(),
        )
        try:
            await ownership.acquire(set(range(self._partitions)))
        finally:
            await claimant.stop()
        self._require_nothing_loaded(ownership)

    def _require_nothing_loaded(self, ownership: Ownership) -> None:
        if any(holding.records_loaded for holding in ownership.holdings.values()):
            raise _not_fresh(
                self._settings, self._partitions, "somebody wrote to its account table meanwhile"
            )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._committer.stop()

    async def write(self, parts: Iterable[tuple[int, Sequence[Pair]]]) -> None:
        """Write changelog records, (partition, some of its records) each, and give all partitions up, in one transaction.

        Raises:
            StateError: a worker took the partitions over.
            BrokerError: the broker does not answer.
        """
        try:
            await self._committer.write(self._with_release(parts))
        except KafkaError as error:
            raise self._told(error) from error

    def _with_release(
        self, parts: Iterable[tuple[int, Sequence[Pair]]]
    ) -> Iterable[tuple[int, Sequence[Pair]]]:
        yield from parts
        for number in range(self._partitions):
            yield number, [(holder_key(self._id), None)]

    def _told(self, error: KafkaError) -> StateError | BrokerError:
        if isinstance(error, ProducerFenced | InvalidProducerEpoch):
            return StateError(
                f"a worker (or another seed) of {self._settings.application_id!r} started meanwhile and took the account table "
                "over: nothing was seeded. Stop it, and run the same command again."
            )
        return _lost(self._settings, error)
