"""What the demo shows: events per second, accounts by band, latest score changes, open episodes, a disagreement of models."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.disagreement import Disagreements
from schemas.outputs import AccountView
from schemas.topics import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.model_file import ModelFile

CHANGES_SHOWN: Final = 8
EPISODES_SHOWN: Final = 8


class Picture:
    """Everything seen so far, bounded: one band per account, the latest changes, the open episodes."""

    def __init__(self, models: Sequence[ModelFile]) -> None:
        """Take the models in force; the first is the headline."""
        self._headline = models[0].model
        self.disagreements = Disagreements(models)
        self.bands: dict[str, str] = {}
        self.open: dict[tuple[str, str], dict[str, Any]] = {}
        self.changes: deque[dict[str, Any]] = deque(maxlen=CHANGES_SHOWN)
        self.seen: Counter[str] = Counter()

    def take(self, topic: str, payload: dict[str, Any]) -> str | None:
        """Take one output; return it as a plain line if it is worth one."""
        self.seen[topic] += 1
        account = payload["account_id"]
        if topic == Output.SCORE_CHANGES:
            if payload["model"] == self._headline:
                self.bands[account] = payload["new"]["band"]
            if payload["old"]["score"] is None and payload["new"]["score"] is None:
                return None
            self.changes.appendleft(payload)
            old_band, new_band = payload["old"]["band"], payload["new"]["band"]
            return change_text(payload) if old_band != new_band else None
        if payload["status"] == "resolved":
            self.open.pop((topic, account), None)
        else:
            self.open[topic, account] = payload
        what = "opportunity " if topic == Output.OPPORTUNITIES else ""
        return (
            f"{payload['effective_at'][:16]} {account} {what}{payload['status']} ({payload['severity']}): "
            f"{payload['summary']}"
        )

    def view(self, account: str, value: bytes | None) -> None:
        """Take the view of an account, none if it has ended."""
        if value is None:
            self.bands.pop(account, None)
            self.disagreements.drop(account)
        else:
            self.disagreements.take(msgspec.json.decode(value, type=AccountView))

    def render(self, events_per_s: float, events: int) -> Group:
        """Return the picture for a terminal."""
        head = Table.grid(padding=(0, 3))
        bands = Counter(self.bands.values())
        head.add_row(
            f"[bold]{events_per_s:,.0f}[/] events/s",
            f"{events:,} events",
            *[f"{name} [bold]{n}[/]" for name, n in bands.most_common()],
        )
        changes = Table(expand=True, box=None)
        for title in ("when", "account", "what"):
            changes.add_column(title, no_wrap=title != "what")
        for payload in self.changes:
            changes.add_row(payload["effective_at"][:16], payload["account_id"], payload["summary"])
        episodes = Table(expand=True, box=None)
        for title in ("since", "account", "severity", "what"):
            episodes.add_column(title, no_wrap=title != "what")
        latest = sorted(self.open.items(), key=lambda item: str(item[1]["since"]), reverse=True)
        for (topic, account), payload in latest[:EPISODES_SHOWN]:
            kind = "good news" if topic == Output.OPPORTUNITIES else payload["severity"]
            episodes.add_row(payload["since"][:10], account, kind, payload["summary"])
        apart = self.disagreements.widest() or "none as far as is known"
        return Group(
            Panel(head, title="latido"),
            Panel(Text(apart), title="where two models disagree most"),
            Panel(changes, title="latest score changes"),
            Panel(episodes, title=f"open episodes ({len(self.open)})"),
        )


def change_text(payload: dict[str, Any]) -> str:
    """Return a score change as one line."""
    return f"{payload['effective_at'][:16]} {payload['account_id']} {payload['summary']}"
