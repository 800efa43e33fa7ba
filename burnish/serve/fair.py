"""Whose turn it is: of those who wait, the tenant that was served the fewest tokens comes next.

After Sheng et al. 2024, Fairness in Serving Large Language Models (VTC), arXiv 2401.00588. Every tenant has a counter
of tokens, those that were written counted double; the smallest counter goes first, and a tenant that comes back after a
while starts from the smallest of those that wait, so that nobody saves up turns by staying away. A tenant that waits
alone is held back by nobody.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

PROMPT_WEIGHT, ANSWER_WEIGHT = 1, 2
"""The paper's weights of a token that is read and of one that is written."""


class FairQueue(Generic[T]):
    """Items that wait, by tenant; a tenant's own items keep their order. One thread uses it, any may ask its length."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}
        self._served: dict[str, int] = {}
        self._last, self._size = 0, 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        """All that waits, in no order that means anything."""
        return (item for line in self._lines.values() for item in line)

    def put(self, tenant: str, item: T) -> None:
        """Queues an item behind the tenant's others."""
        if tenant not in self._lines:
            floor = min((self._served[other] for other in self._lines), default=self._last)
            self._served[tenant] = max(self._served.get(tenant, 0), floor)
            self._lines[tenant] = deque()
        self._lines[tenant].append(item)
        self._size += 1

    def charge(self, tenant: str, tokens: int) -> None:
        """Counts tokens, already weighted, that the tenant was served."""
        self._served[tenant] = self._served.get(tenant, 0) + tokens

    def take(self, may_go: Callable[[T], bool]) -> T | None:
        """Takes out the first item that may go, tenants in the order of their counters; None when there is none.

        An item that may not go keeps its place and lets those behind it pass.
        """
        for tenant in sorted(self._lines, key=lambda name: self._served[name]):
            line = self._lines[tenant]
            for at, item in enumerate(line):
                if may_go(item):
                    del line[at]
                    self._last = self._served[tenant]
                    self._shrink(tenant)
                    return item
        return None

    def drop(self, is_gone: Callable[[T], bool]) -> None:
        """Takes out the items that nobody wants any more."""
        for tenant, line in list(self._lines.items()):
            self._lines[tenant] = deque(item for item in line if not is_gone(item))
            self._shrink(tenant)

    def _shrink(self, tenant: str) -> None:
        if not self._lines[tenant]:
            del self._lines[tenant]
        self._size = sum(map(len, self._lines.values()))
