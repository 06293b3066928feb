"""The yardstick: read topics to their ends with aiokafka's ``getmany``, and do nothing with the records.

A limit on the records of one call makes reading cheaper (fewer objects are alive at a time), so both are measured.

By hand: ``python -m benchmarks.bare BROKER PARTITIONS RECORDS_MAX TOPIC...`` (0: no limit) prints records, processor
seconds and seconds as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition


async def read(broker: str, partitions: int, records_max: int, topics: list[str]) -> dict[str, float]:
    """Return how many records there were, and what reading them cost, start-up left out."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        left = {partition for partition in assigned if ends[partition] > 0}
        records = 0
        began, cpu = time.perf_counter(), time.process_time()
        while left:
            fetched = await consumer.getmany(timeout_ms=200, max_records=records_max or None)
            records += sum(map(len, fetched.values()))
            left -= {tp for tp, batch in fetched.items() if batch[-1].offset + 1 >= ends[tp]}
        return {
            "records": records,
            "cpu_s": time.process_time() - cpu,
            "seconds": time.perf_counter() - began,
        }
    finally:
        await consumer.stop()


if __name__ == "__main__":
    broker, partitions, records_max, *topics = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(read(broker, int(partitions), int(records_max), topics))) + "\n")
