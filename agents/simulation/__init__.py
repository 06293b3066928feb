"""A seeded company of B2B customers whose people work as people do: traffic for demo, tests and benches."""

from agents.simulation.company import Company, SimulatedEvent, Span
from agents.simulation.fates import Rates

__all__ = ["Company", "Rates", "SimulatedEvent", "Span"]
