"""Commands about one account as a whole."""

from __future__ import annotations

import json
import time

import click

from agents.numba_cache import use_cache
from agents.options import instant
from agents.settings import Settings
from agents.simulation.clocktext import instant_text
from schemas.control import MergeAccounts
from schemas.errors import ConfigError
from schemas.events import ACCOUNT_ID_BYTES_MAX, is_account_id
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

    key = _key("ACCOUNT", account)
    settings = Settings.load()
    check_topics(settings)
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    facts = INPUT_TOPICS[Input.ACCOUNT_FACTS].name
    write_record(settings, facts, key, erasure(account, at_ms, author), undone="nothing was erased")
    click.echo(
        f"{account}: erased as of {instant_text(at_ms)}, as soon as its partition gets there. Tell those who keep copies of "
        "score changes, alerts or views too."
    )


@accounts.command("merge")
@click.argument("old")
@click.argument("new")
@click.option(
    "--at",
    "at_ms",
    default=None,
    callback=instant,
    help="OLD ends at this instant: RFC 3339 with a zone, or ms. Default: now.",
)
@click.option("--author", default=None, help="Who says so; kept in the record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def merge(old: str, new: str, *, at_ms: int | None, author: str | None, yes: bool) -> None:
    """Let the account OLD end, and what is kept of it go to NEW; if there is no NEW, it is OLD under that name from then on.

    Shows both first, as the workers have committed them. Said again of the same two it is the same record.
    """
    for name, account in (("OLD", old), ("NEW", new)):
        _key(name, account)
    if old == new:
        raise ConfigError(f"OLD and NEW are both {old!r}. Name two accounts.")
    settings = Settings.load()
    use_cache()
    from agents.control_topic import write_control
    from agents.merging import both, merge_text
    from agents.program import load_program

    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    pair = both(settings, load_program(settings.policy, settings.models_dir), old, new, at_ms)
    click.echo(merge_text(pair, at_ms))
    if not yes:
        click.confirm("Merge them?", abort=True)
    write_control(settings, merging(old, new, at_ms, author))
    click.echo(
        f"{old} ends at {instant_text(at_ms)}, or as soon as its partition gets there. Send its events as events of {new} from "
        f"then on. To call it off before: `latido control withdraw 'merge:{merge_id(old, new)}'`."
    )


def merging(old: str, new: str, at_ms: int, author: str | None) -> MergeAccounts:
    """Return the record that merges two accounts; of the same two it has the same key, and replaces one that waits."""
    return MergeAccounts(id=merge_id(old, new), effective_at=at_ms, author=author, old=old, new=new)


def merge_id(old: str, new: str) -> str:
    """Return the id of the record that merges two accounts."""
    from streams.identity import identity

    return identity("merge", old, new)


def _key(name: str, account: str) -> bytes:
    """Return the key of an account that an argument of this name names."""
    if not is_account_id(account):
        raise ConfigError(
            f"{name} is {account[:40]!r}: an id has 1 to {ACCOUNT_ID_BYTES_MAX} bytes and no control character. "
            "Give it as the events have it, letter by letter."
        )
    return account.encode("utf-8", "surrogatepass")


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
