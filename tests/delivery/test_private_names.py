"""The private names of Faust, mode and aiokafka that ``agents.batching`` and ``agents.clients`` rely on.

A failure here means: an upgrade changed what is overridden or called. Read the new code of that name, mend the
two modules, run everything in tests/delivery on a real broker, and only then mend the expectation.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import aiokafka.client
import aiokafka.conn
import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
import aiokafka.consumer.subscription_state
import aiokafka.producer.message_accumulator
import aiokafka.protocol.types
import faust
import faust.tables.recovery
import faust.transport.consumer
import faust.transport.drivers
import faust.transport.drivers.aiokafka
import mode.utils.queues
import pytest

from agents.batching import SCHEME, BlockingQueue

FAUST_CONSUMER = faust.transport.consumer.Consumer
FAUST_THREAD = faust.transport.drivers.aiokafka.AIOKafkaConsumerThread
FETCHER = aiokafka.consumer.fetcher.Fetcher
BUILDER = aiokafka.producer.message_accumulator.BatchBuilder
KAFKA_CONSUMER = aiokafka.consumer.consumer.AIOKafkaConsumer

SIGNATURES: list[tuple[Any, str, list[str]]] = [
    (
        faust.Schema,
        "compile",
        ["self", "app", "on_key_decode_error", "on_value_decode_error", "default_propagate"],
    ),
    (faust.App, "FlowControlQueue", ["self", "maxsize", "clear_on_resume"]),
    (faust.App, "create_event", ["self", "key", "value", "headers", "message"]),
    (faust.transport.drivers.aiokafka.Consumer, "_new_consumer_thread", ["self"]),
    (FAUST_CONSUMER, "on_partitions_revoked", ["self", "revoked"]),
    (FAUST_CONSUMER, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
    (FAUST_CONSUMER, "seek_to_committed", ["self"]),
    (FAUST_CONSUMER, "commit", ["self", "topics", "start_new_transaction"]),
    (FAUST_CONSUMER, "ack", ["self", "message"]),
    (FAUST_CONSUMER, "on_stop", ["self"]),
    (FAUST_CONSUMER, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
    (FAUST_CONSUMER, "_commit", ["self", "offsets"]),
    (FAUST_CONSUMER, "earliest_offsets", ["self", "partitions"]),
    (FAUST_THREAD, "__init__", ["self", "consumer", "kwargs"]),
    (FAUST_THREAD, "on_start", ["self"]),
    (FAUST_THREAD, "call_thread", ["self", "fun", "args", "kwargs"]),
    (FAUST_THREAD, "_create_worker_consumer", ["self", "transport"]),
    (FAUST_THREAD, "_ensure_consumer", ["self"]),
    (FAUST_THREAD, "_fetch_records", ["self", "consumer", "active_partitions", "timeout", "max_records"]),
    (FETCHER, "_proc_fetch_request", ["self", "assignment", "node_id", "request"]),
    (FETCHER, "fetched_records", ["self", "partitions", "timeout", "max_records"]),
    (aiokafka.consumer.fetcher.PartitionRecords, "_consumer_record", ["self", "tp", "record"]),
    (aiokafka.consumer.subscription_state.Assignment, "state_value", ["self", "tp"]),
    (BUILDER, "_set_producer_state", ["self", "producer_id", "producer_epoch", "base_sequence"]),
    (BUILDER, "_build", ["self"]),
    (BUILDER, "size", ["self"]),
    (BUILDER, "record_count", ["self"]),
    (BUILDER, "closed", ["self"]),
    (aiokafka.client.AIOKafkaClient, "_metadata_update", ["self", "cluster_metadata", "topics"]),
    (aiokafka.client.AIOKafkaClient, "coordinator_lookup", ["self", "coordinator_type", "coordinator_key"]),
]

SOURCES: list[tuple[Any, str]] = [
    # Set on our consumer between its making and its start, which hands them to the fetcher.
    (KAFKA_CONSUMER.start, "fetch_min_bytes=self._fetch_min_bytes"),
    (KAFKA_CONSUMER.start, "fetch_max_bytes=self._fetch_max_bytes"),
    (KAFKA_CONSUMER.start, "fetch_max_wait_ms=self._fetch_max_wait_ms"),
    (KAFKA_CONSUMER.start, "isolation_level=self._isolation_level"),
    (KAFKA_CONSUMER.start, "check_crcs=self._check_crcs"),
    (KAFKA_CONSUMER.start, "self._fetcher = Fetcher("),
    (KAFKA_CONSUMER.__init__, "self._client = AIOKafkaClient("),
    (KAFKA_CONSUMER.__init__, "self._subscription = SubscriptionState("),
    # The fetcher calls these through the instance, so an attribute of the instance is called instead.
    (FETCHER._fetch_requests_routine, "self._proc_fetch_request("),
    (aiokafka.consumer.fetcher.PartitionRecords._unpack_records, "self._consumer_record(tp, record)"),
    (aiokafka.client.AIOKafkaClient._md_synchronizer, "self._metadata_update("),
    (FETCHER._proc_fetch_request, "self._records[tp] = FetchResult("),
    (FETCHER._proc_fetch_request, "tp_state.timestamp = now_ms"),
    (FETCHER._proc_fetch_request, "for topic, partitions in request.topics:"),
    (FETCHER.fetched_records, "if partitions and tp not in partitions:"),
    (aiokafka.consumer.fetcher.FetchResult.__init__, "self._partition_records = partition_records"),
    (aiokafka.consumer.fetcher.FetchResult.getall, "for msg in self._partition_records:"),
    (aiokafka.consumer.fetcher.FetchResult._update_position, "self._partition_records.next_fetch_offset"),
    (aiokafka.consumer.fetcher.FetchResult.check_assignment, "self._partition_records.next_fetch_offset"),
    (aiokafka.consumer.fetcher.PartitionRecords.__next__, "return next(self._records_iterator)"),
    # What goes before a request of ours, which is in pieces, and how its batches, arrays and records are encoded.
    (aiokafka.conn.AIOKafkaConnection.send, "request_struct = request.prepare(self._versions)"),
    (aiokafka.conn.AIOKafkaConnection.send, "message = header.encode() + request_struct.encode()"),
    (aiokafka.conn.AIOKafkaConnection.send, 'size = struct.pack(">i", len(message))'),
    (aiokafka.conn.AIOKafkaConnection.send, "self._writer.write(size + message)"),
    (aiokafka.protocol.types.Bytes.encode, "return Int32.encode(len(value)) + value"),
    (aiokafka.protocol.types.Array.encode, "(Int32.encode(len(items)), *encoded_items),"),
    (aiokafka.protocol.types.Schema.encode, 'b"".join(field.encode(item[i])'),
    # What Faust does with a poll on its way to the agent.
    (FAUST_CONSUMER.getmany, "records_it = self.scheduler.iterate(records)"),
    (FAUST_CONSUMER._wait_next_records, "records = await self._getmany("),
    (FAUST_THREAD.getmany, "self._fetch_records,"),
    (FAUST_CONSUMER._drain_messages, "if r_offset is None or offset >= r_offset:"),
    (faust.tables.recovery.Recovery._resume_streams, "consumer.perform_seek()"),
    (FAUST_CONSUMER.perform_seek, "await self.seek_to_committed()"),
    (FAUST_CONSUMER.__init__, "self._unacked_messages = WeakSet()"),
]


def test_versions_are_the_pinned_ones() -> None:
    assert version("faust-streaming").startswith("0.15.")
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(
    ("owner", "name", "expected"), SIGNATURES, ids=lambda value: getattr(value, "__name__", None)
)
def test_signature(owner: Any, name: str, expected: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == expected


@pytest.mark.parametrize(
    ("function", "line"), SOURCES, ids=lambda value: getattr(value, "__qualname__", None)
)
def test_source_still_has_the_line_that_is_relied_on(function: Any, line: str) -> None:
    assert line in inspect.getsource(function)


def test_a_transport_is_found_by_its_scheme_and_names_its_consumer() -> None:
    transport = faust.transport.drivers.TRANSPORTS.by_url(f"{SCHEME}://localhost:9092")
    assert issubclass(transport.Consumer, faust.transport.drivers.aiokafka.Consumer)
    assert transport.Consumer is not faust.transport.drivers.aiokafka.Consumer


def test_a_full_queue_never_counts_as_pressure() -> None:
    queue = BlockingQueue(maxsize=2, flow_control=mode.utils.queues.FlowControlEvent())
    assert queue.pressure_high_size > queue.maxsize
