"""Invoices and payments: monthly or yearly, by card or on account, mostly on time."""

from __future__ import annotations

from calendar import monthrange
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from agents.simulation.calendars import NO_WORK, ZONES, date_of
from agents.simulation.clocktext import instant_text
from agents.simulation.rows import Row
from schemas.topics import Input

if TYPE_CHECKING:
    from datetime import date

    from agents.simulation.accounts import Accounts
    from agents.simulation.arrays import Bools
    from agents.simulation.contracts import Contracts
    from agents.simulation.fates import Fates

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
CARD_FAILS: Final = 0.025
CARD_RETRY_FAILS: Final = 0.3
CARD_TRIES: Final = 3
REFUND_SHARE: Final = 0.003
LATE_SHARE: Final = 0.08
TROUBLE_DAYS: Final = 60
NEVER_PAYS: Final = 0.5
REFUNDED_NOT_DISPUTED: Final = 0.7
DISPUTES_WON: Final = 0.4


class Currency(NamedTuple):
    """A currency that is billed in: its code, its minor units in a unit, and what a unit of our own costs in it."""

    code: str
    minor: int
    price: float


DOLLAR: Final = Currency("USD", 100, 1.0)
CURRENCIES: Final = {
    "Europe/Berlin": Currency("EUR", 100, 0.9),
    "Europe/London": Currency("GBP", 100, 0.8),
    "America/Sao_Paulo": Currency("BRL", 100, 5.5),
    "Asia/Tokyo": Currency("JPY", 1, 150.0),
    "Australia/Sydney": Currency("AUD", 100, 1.5),
}
"""What is billed in by the zone in which an account began; dollars elsewhere. It does not move with an account."""


class Invoice(NamedTuple):
    """What one billing run asks of one account."""

    account: int
    payment_id: str
    amount_minor: int
    issued_ms: int
    due_ms: int
    troubled: bool


class Billing:
    """Draws the invoices of a day, each with the payments, failures and refunds that follow."""

    def __init__(self, accounts: Accounts, fates: Fates, contracts: Contracts) -> None:
        self._accounts, self._fates, self._contracts = accounts, fates, contracts
        self._currency = [CURRENCIES.get(ZONES[zone].name, DOLLAR) for zone in accounts.zone.tolist()]

    def draw(self, rng: np.random.Generator, day: int) -> list[Row]:
        """Return the rows of all invoices issued on a day (billing runs at night, UTC), in no order.

        The night in which a contract begins may be over where the account is: its first invoice comes later.
        """
        today = date_of(day)
        due = self._contracts.paying(day - 1) & self._billed(today)
        rows: list[Row] = []
        for account in np.flatnonzero(due).tolist():
            invoice = self._invoice(rng, account, day, today)
            rows.append(self._row(invoice, invoice.issued_ms, "due"))
            by_card = bool(self._accounts.pays_by_card[account])
            rows += self._by_card(rng, invoice) if by_card else self._on_account(rng, invoice)
        return rows

    def _billed(self, today: date) -> Bools:
        last = today.day == monthrange(today.year, today.month)[1]
        day_of_month = self._accounts.billing_day % 31 + 1
        monthly = (day_of_month == today.day) | (last & (day_of_month > today.day))
        yearly = self._accounts.billing_day + 1 == today.timetuple().tm_yday
        billed: Bools = np.where(self._accounts.yearly, yearly, monthly)
        return billed

    def _invoice(self, rng: np.random.Generator, account: int, day: int, today: date) -> Invoice:
        issued_ms = day * DAY_MS + 2 * HOUR_MS + int(rng.integers(0, HOUR_MS))
        card = bool(self._accounts.pays_by_card[account])
        terms_days = 1 if card else int(self._accounts.terms_days[account])
        currency, months = self._currency[account], 12 if self._accounts.yearly[account] else 1
        price = int(self._contracts.arr[account]) * currency.price * months / 12
        left = int(self._fates.stops_on[account]) - day
        return Invoice(
            account=account,
            payment_id=f"pay-{account:05d}-{today:%Y%m%d}",
            amount_minor=round(price * currency.minor),
            issued_ms=issued_ms,
            due_ms=(day + terms_days + 1) * DAY_MS,
            troubled=bool(self._fates.trouble[account]) and left < TROUBLE_DAYS,
        )

    def _by_card(self, rng: np.random.Generator, invoice: Invoice) -> list[Row]:
        """Charged at once, again after three and seven days; then the card is replaced, unless they are leaving."""
        fails = 0.6 if invoice.troubled else CARD_FAILS
        rows: list[Row] = []
        for attempt in range(CARD_TRIES):
            at_ms = invoice.issued_ms + (0, 3, 7)[attempt] * DAY_MS + int(rng.integers(20_000, 600_000))
            if rng.random() >= fails:
                return [
                    *rows,
                    self._row(invoice, at_ms, "succeeded"),
                    *self._second_thoughts(rng, invoice, at_ms),
                ]
            rows.append(self._row(invoice, at_ms, "failed"))
            fails = 0.7 if invoice.troubled else CARD_RETRY_FAILS
        if invoice.troubled:
            return rows
        return [*rows, self._row(invoice, invoice.issued_ms + int(rng.uniform(8, 25) * DAY_MS), "succeeded")]

    def _on_account(self, rng: np.random.Generator, invoice: Invoice) -> list[Row]:
        """Paid by transfer on a weekday: usually before the due date, sometimes days or weeks after it."""
        if invoice.troubled and rng.random() < NEVER_PAYS:
            return []
        punctual = rng.random() < float(self._accounts.punctuality[invoice.account]) * (1 - LATE_SHARE)
        early_days, late_days = rng.beta(2.0, 1.5), rng.gamma(1.3, 6.0)
        span_ms = invoice.due_ms - invoice.issued_ms
        early_ms = invoice.issued_ms + int(span_ms * early_days)
        at_ms = _on_weekday(early_ms if punctual else invoice.due_ms + int(late_days * DAY_MS))
        return [self._row(invoice, at_ms, "succeeded"), *self._second_thoughts(rng, invoice, at_ms)]

    def _second_thoughts(self, rng: np.random.Generator, invoice: Invoice, paid_ms: int) -> list[Row]:
        if rng.random() >= (0.15 if invoice.troubled else REFUND_SHARE):
            return []
        at_ms = paid_ms + int(rng.uniform(0.5, 12.0) * DAY_MS)
        if rng.random() < REFUNDED_NOT_DISPUTED:
            return [self._row(invoice, at_ms, "refunded")]
        rows = [self._row(invoice, at_ms, "disputed")]
        if rng.random() < DISPUTES_WON:
            rows.append(self._row(invoice, at_ms + int(rng.uniform(15, 60) * DAY_MS), "succeeded"))
        return rows

    def _row(self, invoice: Invoice, at_ms: int, status: str) -> Row:
        members = (
            f'"payment_id":"{invoice.payment_id}","status":"{status}","amount_minor":{invoice.amount_minor},'
            f'"currency":"{self._currency[invoice.account].code}","due_at":"{instant_text(invoice.due_ms)}"'
        )
        return Row(at_ms, Input.PAYMENTS, invoice.account, members)


def _on_weekday(at_ms: int) -> int:
    """Move an instant at a weekend to the Monday after it."""
    weekday = date_of(at_ms // DAY_MS).weekday()
    return at_ms + (7 - weekday) * DAY_MS if weekday >= NO_WORK else at_ms
