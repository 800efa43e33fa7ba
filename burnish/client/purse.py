"""Money and tokens for questions: the most that one can cost is set aside before it goes, its true cost settled after.

What is on its way holds its reservation. When nothing more fits, a question waits for others to settle; only when none
is on its way the budget is at its end.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from burnish.budget import TEACHER, Budget
from burnish.client.ask import Ask, price
from burnish.config import EndpointSettings
from burnish.errors import BudgetError, ConfigError
from burnish.records import Cost

STEP_S = 0.5


class Charge:
    """What one attempt came to; until told, the most that it can be."""

    def __init__(self, most: Cost) -> None:
        self.cost = most

    def tell(self, cost: Cost) -> None:
        """Replaces the estimate."""
        self.cost = cost


@dataclass(kw_only=True)
class Purse:
    """The part of a project's budget that goes to one endpoint."""

    budget: Budget
    settings: EndpointSettings
    number: int
    """Round, for the ledger."""
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _on_their_way: int = 0

    @contextmanager
    def paying(self, ask: Ask) -> Iterator[Charge]:
        """Holds the most that the question can cost while it is on its way, and settles what the block told.

        A block that ends by an error settles the most, unless it told another cost: the endpoint may charge for it.
        Raises BudgetError when that does not fit.
        """
        charge = Charge(most_cost(ask, self.settings))
        reservation = self._reserve(charge.cost)
        try:
            yield charge
        finally:
            try:
                self.budget.settle(reservation, charge.cost)
            finally:
                with self._changed:
                    self._on_their_way -= 1
                    self._changed.notify_all()

    def _reserve(self, most: Cost) -> int:
        with self._changed:
            while True:
                try:
                    reservation = self.budget.reserve(f"{self.number:03d}/{TEACHER}", most)
                except BudgetError:
                    if not self._on_their_way:
                        raise
                    self._changed.wait(STEP_S)
                else:
                    self._on_their_way += 1
                    return reservation


def most_cost(ask: Ask, settings: EndpointSettings) -> Cost:
    """The most that a question can cost, its answer as long as it may be."""
    usd = price(settings, ask.most_input_tokens, ask.max_new_tokens)
    return Cost(usd=usd, tokens=ask.most_tokens)


def demand_limit(settings: EndpointSettings, budget: Budget, name: str) -> None:
    """Raises ConfigError for an endpoint without a price in a project without a limit of tokens."""
    if not settings.is_priced and budget.settings.teacher_tokens is None:
        raise ConfigError(
            f"{name} has no price, so nobody can say when budget.usd is reached",
            hint=f"set {name}.usd_per_million_input and {name}.usd_per_million_output (0 for a model of your own), "
            "or budget.teacher_tokens",
        )
