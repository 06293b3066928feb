"""`latido control list` and `withdraw`: what the control topic holds, and how a record of it is taken back."""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING, Final

import click

from agents.numba_cache import use_cache
from agents.settings import Settings
from schemas.control import ActivatePolicy, ControlRecord, GoLive, JoinAccount, MergeAccounts, Pause, Resume
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections import Counter

    from agents.control_list import Known, Listing

NEAR: Final = 5
WAYS_ON: Final[dict[type[ControlRecord], str]] = {
    ActivatePolicy: "A policy in force is only followed by another: `latido policy activate` the one that is meant.",
    Pause: "`latido alerts resume` ends it.",
    Resume: "`latido alerts pause` holds alerts back again.",
    MergeAccounts: "There is no way back: what is joined cannot be told apart.",
    GoLive: "What was told since stays told; `latido alerts pause` holds alerts back again.",
}


@click.group()
def control() -> None:
    """Look at what the control topic holds, and take records of it back."""


@control.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_control(*, as_json: bool) -> None:
    """Show the records of the control topic: key, kind, since when they count, author, and what they are by now.

    to come, in force, done or over as the partitions have committed it; due: the instant has come, and a partition has
    committed nothing beyond it yet; withdrawn.
    """
    settings = Settings.load()
    use_cache()
    from agents.control_list import listing, listing_json, listing_text

    found = listing(settings)
    if as_json:
        for line in listing_json(found, _now_ms()):
            click.echo(line)
        return
    click.echo(listing_text(found, _now_ms()) if found.records else "the control topic holds nothing")


@control.command("withdraw")
@click.argument("key")
def withdraw(key: str) -> None:
    """Take a record of the control topic back, by its key: where it does not count yet, it never will.

    Where it counts already it stays in force. The topic forgets it in either case: who reads it anew (a seed, an application of
    another name) does not see it. A join is what was kept of an account that a merge ended: until it is taken in, withdrawing
    it loses that.
    """
    settings = Settings.load()
    use_cache()
    from agents.control_list import listing
    from agents.write_record import write_record
    from schemas.topics import CONTROL

    found = listing(settings)
    known = _meant(found, key)
    if known.withdrawn_at is not None:
        click.echo(f"{key} was withdrawn already; nothing was written.")
        return
    write_record(settings, CONTROL, key.encode(), None, partition=0, undone="nothing was withdrawn")
    click.echo(f"withdrawn: {key}. {_outcome(known, found.states(known, _now_ms()))}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _meant(found: Listing, key: str) -> Known:
    named = [known for known in found.records if known.key == key]
    if named:
        return named[-1]
    keys = list(dict.fromkeys(known.key for known in found.records if known.withdrawn_at is None))
    near = difflib.get_close_matches(key, keys, NEAR, 0.4) or keys[-NEAR:]
    nearest = ", ".join(map(repr, near)) or "none, the topic holds nothing"
    raise ConfigError(
        f"the control topic has no record {key!r}. Nearest to it: {nearest}. Give KEY letter by letter as `latido control "
        "list` shows it, in quotes."
    )


def _outcome(known: Known, states: Counter[str]) -> str:
    from agents.control_list import DUE, counting

    record, counts, of = known.record, counting(states), states.total()
    if record is None:
        return "Nobody could follow it; workers go on without it, those that it stopped once they are started again."
    if not counts:
        by_clock = "; a partition whose clock is there already keeps it" if states[DUE] else ""
        lost = ""
        if isinstance(record, JoinAccount):
            lost = f" What was kept of {record.old!r} is lost then: {record.into!r} does not take it in, nobody else has it."
        return f"No partition has committed anything as of its instant: it will not count{by_clock}.{lost}"
    others = (
        f" In the other {of - counts} it will not count, unless they get there first." if of > counts else ""
    )
    way_on = WAYS_ON.get(type(record), "What it did is done.")
    return f"It counts in {counts} of {of} partitions already and stays in force there. {way_on}{others}"
