"""What a partition has to send: dead letters, messages that the brake lets through, and the views that are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.brake import Brake, Tally
from streams.clock import NEVER_MS
from streams.layout import NOW, UNSET, VIEW_DUE
from streams.notices import notice_record
from streams.view_queue import ViewQueue
from streams.views import view_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.observer import PartitionObserver
    from schemas.policy import Policy
    from schemas.records import OutputRecord
    from streams.accounts import Accounts
    from streams.brake import Said
    from streams.messages import Messages
    from streams.notices import Notice


class Outbox:
    """Outputs since the last drain, in their order, and what waits."""

    def __init__(self, partition: int, observer: PartitionObserver) -> None:
        self.size = 0
        """Bytes of the outputs since the last drain, but for views."""
        self.brake = Brake()
        self.views = ViewQueue()
        self.wall_ms = NEVER_MS
        """The latest wall time that was heard of."""
        self._partition, self._observer = partition, observer
        self._records: list[OutputRecord] = []
        self._urgent: set[int] = set()
        self._control: list[tuple[bytes, bytes | None]] = []

    def say(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Send control records, (key, value); None withdraws what was written under the key."""
        self._control += records
        self.size += sum(len(value or b"") for _, value in records)

    def take_control(self) -> list[tuple[bytes, bytes | None]]:
        """Hand out the control records since the last call."""
        records, self._control = self._control, []
        return records

    def put(self, records: Sequence[OutputRecord]) -> None:
        """Send records that nothing holds back."""
        self._records += records
        self.size += sum(len(record.value) for record in records)

    def tell(self, messages: Messages, policy: Policy) -> None:
        """Take what was written of a batch: all of an account's that may go out before others are judged goes out now."""
        self.views.forget(messages.ended)
        self._urgent |= messages.urgent
        self._send(self.brake.take(messages.said, policy.brake))
        self._observer.on_scores(messages.score_changes)

    def settle(self, clock_ms: int, policy: Policy, accounts: Accounts) -> None:
        """Send what may be sent of what waits, once all that is due by the clock has fired."""
        late = self.brake.settle(clock_ms, policy.brake)
        self._send(late)
        self.notify(self.brake.take_notices())
        tally, self.brake.tally = self.brake.tally, Tally()
        if tally != Tally():
            self._observer.on_brake(self._partition, tally)
        told = {accounts.row_of(each.key) for each in late if each.step}
        rows = {row for row in told if row is not None and accounts.cells.i64[row, NOW] != UNSET}
        self._urgent |= rows
        self.views.add(rows)

    def notify(self, notices: Sequence[Notice]) -> None:
        """Tell operators of trouble."""
        self.put([notice_record(self._partition, notice) for notice in notices])
        for notice in notices:
            self._observer.on_notice(self._partition, notice)

    def _send(self, said: Sequence[Said]) -> None:
        self.put([each.record for each in said])
        alerts: dict[tuple[str, str], int] = {}
        for each in said:
            step = each.step
            for counted in ((reason, str(step.status)) for reason in step.reasons) if step else ():
                alerts[counted] = alerts.get(counted, 0) + 1
        self._observer.on_alerts(alerts)

    def drain(self, accounts: Accounts, evaluated: list[int], clock_ms: int) -> list[OutputRecord]:
        """Hand out everything since the last drain, with the views that are due of the rows evaluated since."""
        records, self._records, self.size = self._records, [], 0
        due = accounts.cells.u8[: len(accounts), VIEW_DUE]
        urgent, self._urgent = self._urgent, set()
        chosen = self.views.choose(due, evaluated, urgent, self.wall_ms, clock_ms)
        return records + view_records(accounts, chosen, self.brake.is_held)
