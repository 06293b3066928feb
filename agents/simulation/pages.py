"""Pages of the product and who visits them, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from agents.simulation.arrays import Ints

FEATURES: Final = (
    "reports",
    "export",
    "automation",
    "integrations",
    "invoices",
    "team",
    "forecast",
    "api-keys",
)
ROLES: Final = ("admin", "manager", "member", "viewer", "integration")
ADMIN: Final = ROLES.index("admin")
INTEGRATION: Final = ROLES.index("integration")
TABLE_SIZE: Final = 512


TOLD_BY_PATH: Final = frozenset({"reports", "automation"})
"""Features of the oldest pages, whose visits the web application tells by their path alone."""


class Page(NamedTuple):
    """A page: its path, the feature behind it (if any), and the relative weight that each role gives it."""

    path: str
    feature: str | None
    admin: float
    manager: float
    member: float
    viewer: float
    integration: float = 0.0


PAGES: Final = (
    Page("/app/dashboard", None, 20, 28, 26, 40),
    Page("/app/tasks", None, 8, 14, 34, 6),
    Page("/app/reports", "reports", 8, 18, 8, 30),
    Page("/app/reports/export", "export", 3, 6, 2, 6),
    Page("/app/automations", "automation", 8, 5, 6, 0.5),
    Page("/app/integrations", "integrations", 8, 3, 2, 0.2),
    Page("/app/invoices", "invoices", 10, 10, 8, 3),
    Page("/app/team", "team", 10, 6, 1, 0.5),
    Page("/app/forecast", "forecast", 4, 10, 3, 8),
    Page("/app/settings/api-keys", "api-keys", 4, 0.5, 0.5, 0.0, 40),
    Page("/app/settings/billing", None, 3, 0.5, 0.0, 0.0),
    Page("/app/settings/profile", None, 1, 1, 2, 1),
    Page("/help/getting-started", None, 1, 2, 4, 3),
    Page("/help/search", None, 2, 2, 3, 1.5),
    Page("/docs/api", None, 1.5, 0.2, 0.5, 0.0, 60),
    Page("/marketplace/insights", None, 0.6, 0.8, 0.1, 0.1),
    Page("/pricing", None, 0.4, 0.3, 0.05, 0.05),
    Page("/upgrade", None, 0.0, 0.0, 0.0, 0.0),
    Page("/help/refund-faq", None, 0.0, 0.0, 0.0, 0.0),
    Page("/account/cancel", None, 0.0, 0.0, 0.0, 0.0),
)
PLACE: Final = {page.path: place for place, page in enumerate(PAGES)}
HOME: Final = PLACE["/app/dashboard"]


def role_tables() -> Ints:
    """Return a table (roles x ``TABLE_SIZE``) of page numbers, in which a uniform draw picks by weight."""
    return np.stack([_table(role) for role in range(len(ROLES))])


def _table(role: int) -> Ints:
    weights = np.array([float(getattr(page, ROLES[role])) for page in PAGES])
    ends = np.cumsum(weights) / weights.sum()
    return np.searchsorted(ends, (np.arange(TABLE_SIZE) + 0.5) / TABLE_SIZE)


def needed_features() -> Ints:
    """Return the number of the feature that an account must have to use a page, by page number; -1: none."""
    return np.array([-1 if page.feature is None else FEATURES.index(page.feature) for page in PAGES])


def page_text(page: int, role: int, *, mobile: bool = False) -> str:
    """Return the JSON members that say which page it was and who the visitor is to the account.

    The mobile app has no paths: it tells the feature alone, where there is one.
    """
    path, feature = f'"path":"{PAGES[page].path}",', PAGES[page].feature
    named = f'"feature":"{feature}",'
    if feature is None or (feature in TOLD_BY_PATH and not mobile):
        return f'{path}"user_role":"{ROLES[role]}"'
    return f'{"" if mobile else path}{named}"user_role":"{ROLES[role]}"'
