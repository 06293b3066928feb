"""`latido demo`: a simulated company through the real worker, as any subscriber of its outputs sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from confluent_kafka import Consumer, Producer
from rich.console import Console
from rich.live import Live

from agents.live_view import Picture
from agents.mockbroker import MockBroker
from agents.program import policy_with_models
from agents.settings import Settings
from agents.topics import all_topics, create_topics
from schemas.errors import BrokerError
from schemas.topics import INPUT_TOPICS, Output

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER: Final = """
import asyncio, sys
from agents.run import run_worker
from agents.settings import Settings
sys.exit(asyncio.run(run_worker(Settings.load(), mock={mock})))
"""
SHOWN: Final = (Output.SCORE_CHANGES, Output.DISENGAGEMENTS, Output.OPPORTUNITIES)
FIRST_OUTPUT_WITHIN_S: Final = 120.0
STOP_WITHIN_S: Final = 15.0
PARTITIONS: Final = 4


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="End by itself, so long after the view starts."
)
@click.option("--broker", metavar="HOST:PORT", help="Use this Kafka instead of an embedded broker.")
@click.option(
    "--seed", default=7, show_default=True, type=click.IntRange(0), help="Of the simulated company."
)
def demo(seconds: float | None, broker: str | None, seed: int) -> None:
    """Run a simulated company through the real worker, with a live view. Ctrl-C ends it."""
    end_as_by_ctrl_c()
    stage = None
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        stage = Stage(stack, broker, seed)
        stage.show(seconds)
    if stage and (apart := stage.picture.disagreements.widest()):
        click.echo(f"two models disagree on {apart}")
    click.echo(stage.summary() if stage else "stopped before the view started")


def end_as_by_ctrl_c() -> None:
    """Let a closed terminal and a termination end the demo as Ctrl-C does: with the processes that it started."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


class Stage:
    """Broker, traffic and worker of one demo, in a folder that goes with it."""

    def __init__(self, stack: ExitStack, broker: str | None, seed: int) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latido-demo-")))
        address = broker or stack.enter_context(MockBroker()).address
        prefix = f"demo-{uuid.uuid4().hex[:6]}-"
        self.settings = Settings(broker=address, topic_prefix=prefix, application_id="demo", datadir=folder)
        _, models = policy_with_models("default")
        self.picture, self.started = Picture([model for model, _ in models]), 0.0
        click.echo(
            f"seed {seed}: writing 90 days of a simulated company to {address}, then starting the worker"
        )
        if broker:
            create_topics(self.settings, partitions=PARTITIONS, replication=1)
        else:
            self._touch_topics()
        self.log = folder / "worker.log"
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self._stop_children)
        history = f"--accounts 60 --days 90 --volume 0.5 --seed {seed} --rate 20 --broker {address} --topic-prefix {prefix}"
        self._start(
            "traffic", ["-c", "from agents.cli import main; main()", "simulate", *history.split()], folder
        )
        self._start("worker", ["-c", WORKER.format(mock=broker is None)], folder)
        self._consumer = self._subscribe(address, prefix)
        stack.callback(self._consumer.close)

    def _touch_topics(self) -> None:
        producer = Producer({"bootstrap.servers": self.settings.broker, "log_level": 0})
        for spec in all_topics("demo"):
            producer.list_topics(self.settings.topic_prefix + spec.name, timeout=10)

    def _start(self, name: str, arguments: list[str], folder: Path) -> None:
        environment = os.environ | {
            "LATIDO_BROKER": self.settings.broker,
            "LATIDO_TOPIC_PREFIX": self.settings.topic_prefix,
            "LATIDO_APPLICATION_ID": "demo",
            "LATIDO_DATADIR": str(folder),
            "LATIDO_METRICS_PORT": "0",
        }
        with (folder / f"{name}.log").open("wb") as log:
            # A session of its own: Ctrl-C reaches this process alone, which then ends the children in order.
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own interpreter and commands
                [sys.executable, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _subscribe(self, address: str, prefix: str) -> Consumer:
        settings = {
            "bootstrap.servers": address,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
        consumer = Consumer({**settings, "isolation.level": "read_committed"})
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        inputs = (spec.name for spec in INPUT_TOPICS.values())
        names = (prefix + name for name in (*SHOWN, Output.ACCOUNTS, *inputs))
        consumer.assign([TopicPartition(name, p, 0) for name in names for p in range(PARTITIONS)])
        return consumer

    def show(self, seconds: float | None) -> None:
        """Show the picture until the time is over, or Ctrl-C."""
        console = Console()
        deadline = time.monotonic() + FIRST_OUTPUT_WITHIN_S
        while not self.picture.seen["score-changes"]:
            self._check(deadline)
            self._read()
        self.started = time.monotonic()
        end = float("inf") if seconds is None else self.started + seconds
        if not console.is_terminal:
            self._plain(end)
            return
        with Live(console=console, refresh_per_second=4, screen=False) as live:
            for rate in self._rates(end):
                live.update(self.picture.render(rate, self.events))

    def _plain(self, end: float) -> None:
        told = time.monotonic()
        while time.monotonic() < end:
            self._check(float("inf"))
            for line in self._read():
                click.echo(line)
            if time.monotonic() - told > 5:  # noqa: PLR2004 - seconds between two lines on the state
                told = time.monotonic()
                click.echo(self.summary())

    @property
    def events(self) -> int:
        """Input events seen so far."""
        return sum(self.picture.seen[spec.name] for spec in INPUT_TOPICS.values())

    def _rates(self, end: float) -> Iterator[float]:
        since, before = time.monotonic(), self.events
        while time.monotonic() < end:
            self._check(float("inf"))
            self._read()
            elapsed = time.monotonic() - since
            yield (self.events - before) / max(elapsed, 0.1)
            if elapsed > 2:  # noqa: PLR2004 - seconds that a rate is taken over
                since, before = time.monotonic(), self.events

    def _read(self) -> list[str]:
        lines = []
        for message in self._consumer.consume(500, 0.25):
            if message.error() is not None:
                continue
            topic = str(message.topic()).removeprefix(self.settings.topic_prefix)
            if topic == Output.ACCOUNTS:
                self.picture.view((message.key() or b"").decode(), message.value())
            elif topic in SHOWN:
                payload: dict[str, Any] = json.loads(message.value() or b"")
                line = self.picture.take(topic, payload)
                lines += [line] if line else []
            else:
                self.picture.seen[topic] += 1
        return lines

    def _check(self, deadline: float) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                told = self.log.with_name(f"{name}.log").read_text(errors="replace")[-1500:]
                raise BrokerError(f"the {name} of the demo ended with code {child.returncode}:\n{told}")
        if time.monotonic() > deadline:
            raise BrokerError(
                f"no output within {FIRST_OUTPUT_WITHIN_S:.0f} s; the worker said:\n{self.log.read_text()[-1500:]}"
            )

    def _stop_children(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self._children.values():
            try:
                child.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def summary(self) -> str:
        """Return one line on what was seen."""
        seen = self.picture.seen
        return (
            f"latido demo: {self.events} events, {len(self.picture.bands)} accounts scored, "
            f"{seen['score-changes']} score changes, {seen['disengagements']} alerts, "
            f"{seen['opportunities']} opportunities, {len(self.picture.open)} episodes open"
        )
