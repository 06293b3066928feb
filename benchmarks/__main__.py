"""``python -m benchmarks``: all of them on a real Kafka of their own, medians of several runs, as one table."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from agents.program import load_program
from benchmarks import rebalance, recordings, recovery, worker
from benchmarks.processes import run_python
from tests.servers.kafka import KafkaServer

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("start", "worker", "latency", "replay", "midnight", "recovery", "rebalance")
MIDNIGHT_ACCOUNTS = (100_000, 1_000_000)
RECOVERY_ACCOUNTS = 1_000_000


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--events", default=1_000_000, show_default=True, help="measured events of the worker")
@click.option("--replayed", default=10_000_000, show_default=True, help="events of the replay")
@click.option("--accounts", default=50_000, show_default=True)
@click.option("--runs", default=3, show_default=True, help="medians of so many runs")
@click.option(
    "--job",
    "jobs",
    multiple=True,
    type=click.Choice(list(worker.JOBS)),
    help="of the worker; all if none is named",
)
@click.option(
    "--feed",
    type=click.Choice(["company", "storm"]),
    default="company",
    show_default=True,
    help="of the worker: what a simulated company does, at least a day of it; or a day of events, one in ten an alert",
)
@click.option("--seconds", default=20, show_default=True, help="of the latency at 1,000 events/s")
def main(
    parts: tuple[str, ...],
    events: int,
    replayed: int,
    accounts: int,
    runs: int,
    jobs: tuple[str, ...],
    feed: str,
    seconds: int,
) -> None:
    """Measure latido beside a bare read of the same topics in the same run (all PARTS if none is named)."""
    table = Table("what", "median", "lowest", "highest", "unit", title=f"{accounts:,} accounts, {runs} runs")
    console = Console()
    note = Notes(table, console)
    with TemporaryDirectory(prefix="latido-bench-") as name, KafkaServer() as kafka:
        folder, broker = Path(name), kafka.broker
        measure: dict[str, Callable[[], None]] = {
            "start": lambda: start(note, broker, folder, runs),
            "worker": lambda: throughputs(note, broker, folder, jobs, (feed, events, accounts), runs),
            "latency": lambda: latency(note, broker, folder, seconds, runs),
            "replay": lambda: replay(note, folder, replayed, accounts, runs),
            "midnight": lambda: midnights(note, runs),
            "rebalance": lambda: rebalances(note, broker, folder, runs),
            "recovery": lambda: recover(note, broker, folder, RECOVERY_ACCOUNTS, runs),
        }
        for part in parts or PARTS:
            measure[part]()
    console.print(table)


class Notes:
    """Puts figures into the table, and says each at once: a run takes minutes."""

    def __init__(self, table: Table, console: Console) -> None:
        self._table, self._console = table, console

    def __call__(self, what: str, values: list[float], unit: str, form: str = "{:.2f}") -> None:
        """Add a line with the median, the lowest and the highest of ``values``."""
        cells = [form.format(value) for value in (statistics.median(values), min(values), max(values))]
        self._table.add_row(what, *cells, unit)
        sys.stderr.write(f"{what}: {cells[0]} ({cells[1]}-{cells[2]}) {unit}\n")


def start(note: Notes, broker: str, folder: Path, runs: int) -> None:
    """Measure the row, a cold compilation and a warm start."""
    for name, policy in worker.JOBS.items():
        layout = load_program(policy).layout
        note(f"row of {name}", [layout.dtype.itemsize + len(layout.fingerprint)], "bytes", "{:.0f}")
    caches = [folder / f"cache-{run}" for run in range(runs)]
    for temperature in ("cold", "warm"):
        spent = [worker.start_cost(broker, folder, NUMBA_CACHE_DIR=str(cache)) for cache in caches]
        note(f"start until joining, {temperature} cache", spent, "CPU-s")


def throughputs(
    note: Notes, broker: str, folder: Path, jobs: tuple[str, ...], load: tuple[str, int, int], runs: int
) -> None:
    """Measure the jobs, all if none is named, under a load: feed, events, accounts."""
    for job in jobs or worker.JOBS:
        throughput(note, broker, folder, job, load, runs)


def throughput(
    note: Notes, broker: str, folder: Path, job: str, load: tuple[str, int, int], runs: int
) -> None:
    """Measure a job and the bare reads beside it."""
    feed, events, accounts = load
    found = [
        worker.throughput(broker, folder, job, feed=feed, events=events, accounts=accounts, seed=run)
        for run in range(runs)
    ]
    for name in found[0]:
        note(name, [costs[name].cpu_s_per_million for costs in found], "CPU-s per million events")
    for yardstick in ("getmany", "getmany, limited"):
        ratios = [costs[job].cpu_s_per_million / costs[yardstick].cpu_s_per_million for costs in found]
        note(f"{job} / {yardstick}", ratios, "ratio")
    note(
        f"{job}, score changes and reasons of alerts for each event",
        [costs[job].outputs for costs in found],
        "",
        "{:.3f}",
    )
    note(f"{job}, rate", [costs[job].events_per_s / 1000 for costs in found], "1,000 events/s", "{:.0f}")
    note(f"{job}, peak memory", [costs[job].peak_mib for costs in found], "MiB", "{:.0f}")


def latency(note: Notes, broker: str, folder: Path, seconds: int, runs: int) -> None:
    """Measure the time from an event to its alert at a reader."""
    for interval_ms in ("50", "100"):
        found = [
            worker.latency(broker, folder, seconds=seconds, LATIDO_COMMIT_INTERVAL_MS=interval_ms)
            for _ in range(runs)
        ]
        for name in ("p50", "p99", "worst"):
            what = f"event to visible alert, {name} of {found[0].alerts}, commits every {interval_ms} ms"
            note(what, [getattr(waits, name) for waits in found], "ms", "{:.0f}")


def replay(note: Notes, folder: Path, events: int, accounts: int, runs: int) -> None:
    """Measure a replay, beside reading and decoding its lines."""
    recording = recordings.write(folder, events=events, accounts=accounts, seed=1)

    def times(cost: Callable[[], float]) -> list[float]:
        return [cost() for _ in range(runs)]

    unit = "CPU-s per million events"
    note(
        "reading and decoding the lines", times(lambda: recordings.line_cost(recording, events=events)), unit
    )
    note("replay", times(lambda: recordings.replay_cost(recording, folder / "out", events=events)), unit)


def midnights(note: Notes, runs: int) -> None:
    """Measure midnights of many and of very many accounts."""
    for accounts in MIDNIGHT_ACCOUNTS:
        midnight(note, accounts, runs)


def midnight(note: Notes, accounts: int, runs: int) -> None:
    """Measure a midnight of very many accounts in one partition, and the memory that each takes."""
    found = [json.loads(run_python("-m", "benchmarks.midnight", str(accounts))) for _ in range(runs)]
    for name, unit in (
        ("longest_pause_ms", "ms"),
        ("cpu_s_per_million", "CPU-s per million accounts"),
        ("bytes_per_account", "bytes"),
    ):
        what = f"midnight of {accounts:,} accounts: {name.partition('_')[0]} {name.split('_')[1]}"
        note(what, [told[name] for told in found], unit, "{:.1f}")


def recover(note: Notes, broker: str, folder: Path, accounts: int, runs: int) -> None:
    """Measure the recovery of very many accounts."""
    filled = recovery.filled(broker, folder, accounts)
    for way, measure in (
        ("from the changelog", recovery.recovery),
        ("with snapshots", recovery.recovery_by_snapshot),
    ):
        found = [measure(filled) for _ in range(runs)]
        what = f"recovery of {accounts:,} accounts {way}"
        note(what, [told.seconds for told in found], "s")
        note(f"{what}, processor", [told.cpu_s for told in found], "CPU-s")
        note(f"{what}, peak memory", [told.peak_mib for told in found], "MiB", "{:.0f}")


def rebalances(note: Notes, broker: str, folder: Path, runs: int) -> None:
    """Measure how long a partition stands still when a third worker joins and leaves."""
    found = [rebalance.pauses(broker, folder / f"rebalance-{run}") for run in range(runs)]
    for name in ("before", "joining", "leaving"):
        longest = [pause for told in found for pause in getattr(told, name)]
        note(f"longest time without a commit of a partition, third worker {name}", longest, "ms", "{:.0f}")


if __name__ == "__main__":
    main()
