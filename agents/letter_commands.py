"""`latido dead-letters list`, `show` and `retry`: what could not be judged, why, and once more."""

from __future__ import annotations

import heapq
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from agents.numba_cache import use_cache
from agents.options import instant
from agents.settings import Settings
from schemas.reasons import EventNote, RejectReason
from schemas.topics import INPUT_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.letters import Choice, Letter
    from agents.retry import Verdict


def filters(command: Any) -> Any:
    """Add the options that choose letters."""
    for option in (
        click.option("--since", "since_ms", default=None, callback=instant, help="Rejected at or after: RFC 3339 or ms."),
        click.option("--account", default=None, help="Of this account, by body or key."),
        click.option(
            "--input", "topic", default=None, type=click.Choice(list(INPUT_BY_NAME)),
            help="Of this input.",
        ),
        click.option(
            "--reason", default=None, type=click.Choice([str(reason) for reason in RejectReason]), help="Of this reason."
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def letter_names(
    _context: click.Context, _parameter: click.Parameter, names: str | tuple[str, ...]
) -> list[tuple[int, int]]:
    """Return the partitions and offsets of names."""
    from agents.letters import name_parts

    found = []
    for name in [names] if isinstance(names, str) else names:
        parts = name_parts(name)
        if parts is None:
            raise click.BadParameter(
                f"{name!r} names no letter: a name is PARTITION@OFFSET, such as 0@17. `latido dead-letters list` shows them."
            )
        found.append(parts)
    return found


@click.command("list")
@filters
@click.option(
    "--newest", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Show so many of them."
)
@click.option("--retried", "with_retried", is_flag=True, help="Those too that were retried.")
@click.option("--json", "as_json", is_flag=True, help="Only the newest, one JSON object a line.")
def list_letters(
    reason: str | None, topic: str | None, account: str | None, since_ms: int | None,
    *, newest: int, with_retried: bool, as_json: bool,
) -> None:  # fmt: skip
    """Count the dead letters that were not retried, and show the newest."""
    from agents.letter_text import Counts, letter_json, letters_table
    from agents.letters import Choice, letters, retried

    settings, counts = Settings.load(), Counts()
    done = retried(settings)

    def counted(found: Iterable[Letter]) -> Iterable[Letter]:
        for letter in found:
            counts.add(letter)
            yield letter

    meant = counted(
        letters(settings, Choice(reason, topic, account, since_ms), set() if with_retried else done)
    )
    shown = heapq.nlargest(newest, meant, key=_age)
    if as_json:
        for letter in shown:
            was = (letter.partition, letter.offset) in done
            click.echo(json.dumps(letter_json(letter) | {"retried": was}))
        return
    if not counts.total:
        click.echo("no dead letters" if not done else f"no dead letters but {len(done)} that were retried")
        return
    click.echo(counts.table())
    click.echo(f"\nthe newest {len(shown)} of {counts.total}:")
    click.echo(letters_table(shown))


def _age(letter: Letter) -> tuple[int, int, int]:
    return letter.timestamp_ms, letter.partition, letter.offset


@click.command("show")
@click.argument("name", metavar="PARTITION@OFFSET", callback=letter_names)
def show_letter(name: list[tuple[int, int]]) -> None:
    """Show everything of one letter: why, from where, what is in it, what usually causes it and what to do."""
    from agents.letter_text import letter_text
    from agents.letters import Lookup, letter_at, retried

    settings, (place,) = Settings.load(), name
    with Lookup(settings, "read_committed") as dead, Lookup(settings, "read_uncommitted") as inputs:
        letter, message = letter_at(settings, dead, *place)
        original = None
        if letter.topic in INPUT_BY_NAME:
            source = settings.topic_prefix + letter.topic
            original = inputs.at(source, letter.source_partition, letter.source_offset)
    when = None if original is None else original.timestamp()[1]
    click.echo(letter_text(letter, message.value() or b"", when, retried=place in retried(settings)))


@click.command("retry")
@click.argument("names", metavar="[PARTITION@OFFSET]...", nargs=-1, callback=letter_names)
@filters
@click.option(
    "--at-most", default=1_000, show_default=True, type=click.IntRange(1, 10_000), help="The oldest so many."
)
@click.option("--rekey", is_flag=True, help="Key what has no or another key by the account_id of its body.")
@click.option("--send", is_flag=True, help="Really send; without it nothing is written.")
def retry_letters(
    names: list[tuple[int, int]],
    reason: str | None, topic: str | None, account: str | None, since_ms: int | None,
    *, at_most: int, rekey: bool, send: bool,
) -> None:  # fmt: skip
    """Judge letters again, by name or by filters, and send those that are accepted now to their input.

    Without --send it only says what would become of each.
    """
    chosen = (reason, topic, account, since_ms)
    if bool(names) == any(each is not None for each in chosen):
        raise click.UsageError(
            "name letters (PARTITION@OFFSET), or choose them by --reason, --input, --account, --since."
        )
    settings = Settings.load()
    use_cache()
    from agents.letter_text import NO_LOOK_BACK, halts_text, outcome_text, verdict_text
    from agents.letters import Choice
    from agents.program import load_program
    from agents.retry import Sender, judge_for, verdicts
    from agents.topics import check_topics

    program, partitions = load_program(settings.policy, settings.models_dir), check_topics(settings)
    with ExitStack() as stack:
        # First: an earlier retry has ended when notes are read.
        sender = stack.enter_context(Sender(settings)) if send else None
        found = _meant(settings, names, Choice(*chosen), at_most)
        judge = judge_for(settings, program, partitions, found, rekey=rekey)
        sent, others = 0, []
        for verdict in verdicts(settings, judge, found, rekey=rekey):
            click.echo(verdict_text(verdict))
            if not verdict.is_sent:
                others.append(_why(verdict))
                continue
            sent += 1
            if sender is not None:
                sender.send(verdict)
    click.echo(outcome_text(sent, others, really=send))
    if judge.halts:
        click.echo(halts_text(judge.halts))
    if sent:
        click.echo(NO_LOOK_BACK)


def _why(verdict: Verdict) -> str:
    judged = verdict.judged
    if judged is None:
        return "cannot be judged"
    if judged.reason is None:
        left_out = (note for note in (EventNote.ERASED, EventNote.MERGED) if note in judged.notes)
        return next(map(str, left_out), "taken already")
    return str(judged.reason)


def _meant(
    settings: Settings, names: Sequence[tuple[int, int]], choice: Choice, at_most: int
) -> list[Letter]:
    from agents.letters import Lookup, letter_at, letters, retried
    from schemas.errors import LetterError

    done = retried(settings)
    if not names:
        return heapq.nsmallest(at_most, letters(settings, choice, done), key=_age)
    again = [f"{partition}@{offset}" for partition, offset in names if (partition, offset) in done]
    if again:
        raise LetterError(f"retried already: {', '.join(again)}. Nothing was sent; leave them out.")
    with Lookup(settings, "read_committed") as dead:
        return [letter_at(settings, dead, *place)[0] for place in dict.fromkeys(names)]
