"""Commands about one account as a whole."""

from __future__ import annotations

import json
import time

import click

from agents.options import instant
from agents.settings import Settings
from agents.simulation.clocktext import instant_text
from schemas.errors import ConfigError
from schemas.events import ACCOUNT_ID_BYTES_MAX
from schemas.topics import INPUT_TOPICS, Input


@click.group()
def accounts() -> None:
    """Change what is kept of one account."""


@accounts.command("erase")
@click.argument("account")
@click.option(
    "--at",
    "at_ms",
    default=None,
    callback=instant,
    help="As of this instant: RFC 3339 with a zone, or ms. Default: now.",
)
@click.option("--author", default=None, help="Who says so; kept in the record.")
def erase(account: str, at_ms: int | None, author: str | None) -> None:
    """Erase all that is kept of an account, by a record of account-facts that every reader of it takes in its turn.

    What of it lies in the inputs and in what was written stays until retention deletes it; see docs/personal-data.md.
    """
    from agents.topics import check_topics
    from agents.write_record import write_record

    key = account.encode("utf-8", "surrogatepass")
    if not 0 < len(key) <= ACCOUNT_ID_BYTES_MAX or any(character < " " for character in account):
        raise ConfigError(
            f"ACCOUNT is {account[:40]!r}: an id has 1 to {ACCOUNT_ID_BYTES_MAX} bytes and no control character. "
            "Give it as the events have it, letter by letter."
        )
    settings = Settings.load()
    check_topics(settings)
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    facts = INPUT_TOPICS[Input.ACCOUNT_FACTS].name
    write_record(settings, facts, key, erasure(account, at_ms, author), undone="nothing was erased")
    click.echo(
        f"{account}: erased as of {instant_text(at_ms)}, as soon as its partition gets there. Tell those who keep copies of "
        "score changes, alerts or views too."
    )


def erasure(account: str, at_ms: int, author: str | None) -> bytes:
    """Return the record that erases an account; said again of the same instant it is the same."""
    from streams.identity import identity

    told = {
        "event_id": identity("erase", account, at_ms),
        "account_id": account,
        "occurred_at": at_ms,
        "facts": {},
        "erase": True,
        "author": author,
    }
    return json.dumps(told).encode()
