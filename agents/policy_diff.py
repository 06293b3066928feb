"""What two policies make of the same recorded events: whom they alert about, and the bands in which accounts end."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from agents.replay import OUTPUT_FILES, replay_files
from agents.tables import table_text
from schemas.topics import DAY_MS, Output
from streams.instants import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.plan import Program

ALERTS: Final = (Output.DISENGAGEMENTS, Output.OPPORTUNITIES)


class Told(NamedTuple):
    """What a policy tells: accounts with a firing by reason, firings by reason, the last bands by model and account.

    ``shadow`` are the models whose bands are only shown.
    """

    accounts: dict[str, set[str]]
    firings: Counter[str]
    bands: dict[str, dict[str, str]]
    shadow: set[str]


def diff_text(names: Sequence[str], told: Sequence[Told]) -> str:
    """Return the tables of what two policies tell."""
    heads = [
        "reason",
        *(f"alerts {name}" for name in names),
        "accounts of both",
        *(f"only {n}" for n in names),
    ]
    left, right = told
    rows = []
    for reason in sorted(left.firings.keys() | right.firings.keys()):
        mine, theirs = left.accounts[reason], right.accounts[reason]
        numbers = (
            left.firings[reason],
            right.firings[reason],
            len(mine & theirs),
            len(mine - theirs),
            len(theirs - mine),
        )
        rows.append([reason, *map(str, numbers)])
    text = table_text(heads, rows, numbers=heads[1:]) if rows else "no alerts under either policy"
    return f"{text}\n\n{_band_text(names, left, right)}"


def _band_text(names: Sequence[str], left: Told, right: Told) -> str:
    heads = ["model", names[0], names[1], "accounts"]
    rows = []
    for model in sorted(left.bands.keys() | right.bands.keys()):
        mine, theirs = left.bands.get(model, {}), right.bands.get(model, {})
        moves = Counter((mine.get(a, "-"), theirs.get(a, "-")) for a in mine.keys() | theirs.keys())
        by = [name for name, told in zip(names, (left, right), strict=True) if model in told.shadow]
        label = f"{model} (in shadow: {', '.join(by)})" if by else model
        rows += [[label, before, after, str(count)] for (before, after), count in sorted(moves.items())]
    return table_text(heads, rows, numbers=heads[3:])


def told_by(program: Program, files: Sequence[Path], *, days: int) -> Told:
    """Return what a policy tells of recorded events, alerts of their last ``days`` only.

    Raises:
        ConfigError: a file cannot be read.
        StateError: a control record in it cannot be followed.
    """
    told = Told(defaultdict(set), Counter(), defaultdict(dict), set())
    with TemporaryDirectory(prefix="latido-diff-") as name:
        folder = Path(name)
        replay_files(files, program, partitions=1, until_ms=None, out=folder)
        views = list(_lines(folder, Output.ACCOUNTS))
        since = _since(views, days)
        for alert in (each for topic in ALERTS for each in _lines(folder, topic)):
            if alert["status"] != "firing" or alert["effective_at"] < since:
                continue
            for reason in alert["reasons"]:
                told.firings[reason["rule"]] += 1
                told.accounts[reason["rule"]].add(alert["account_id"])
        for view in views:
            told.shadow.update(score["model"] for score in view["shadow"])
            for score in view["scores"] + view["shadow"]:
                told.bands[score["model"]][view["account_id"]] = score["band"]
    return told


def _lines(folder: Path, topic: Output) -> Iterator[dict[str, Any]]:
    with (folder / OUTPUT_FILES[topic]).open("rb") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


def _since(views: Sequence[dict[str, Any]], days: int) -> str:
    latest = max((view["as_of"] for view in views), default="1970-01-01T00:00:00.000Z")
    return instant_text(round(datetime.fromisoformat(latest).timestamp() * 1000) - days * DAY_MS)
