"""How much a key may ask: requests and tokens in any 60 seconds, and requests at once; beyond that, when to come back.

A window that slides holds its limit in every 60 seconds, where a bucket that fills up lets nearly twice as much pass.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from burnish.config import KeySettings
from burnish.serve.faults import ApiError

WINDOW_S = 60.0
AT_ONCE_S = 1
"""When to come back after too many requests at once: one of them may end at any time."""


@dataclass(slots=True)
class Spent:
    """What one request took from a window."""

    at: float
    amount: int


class Window:
    """Amounts of the last 60 seconds under a limit; an amount above the limit counts as all of it when it is taken."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._spent: deque[Spent] = deque()
        self._sum = 0

    def take(self, amount: int, now: float) -> Spent | None:
        """Notes the amount if it fits now; None where it does not."""
        if self.wait_s(amount, now) > 0:
            return None
        self._spent.append(Spent(now, amount))
        self._sum += amount
        return self._spent[-1]

    def settle(self, spent: Spent, amount: int, now: float) -> None:
        """Notes what was taken in the end, in place of what was expected."""
        self._forget(now)
        if spent.at + WINDOW_S > now:
            self._sum += amount - spent.amount
            spent.amount = amount

    def left(self, now: float) -> int:
        """What may still be taken."""
        self._forget(now)
        return max(0, self.limit - self._sum)

    def wait_s(self, amount: int, now: float) -> float:
        """Seconds until the amount fits when nothing else is taken meanwhile; 0 when it fits now."""
        self._forget(now)
        over = min(amount, self.limit) + self._sum - self.limit
        if over <= 0:
            return 0.0
        for one in self._spent:
            over -= one.amount
            if over <= 0:
                return one.at + WINDOW_S - now
        raise AssertionError((amount, self.limit, self._sum))

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0].at + WINDOW_S <= now:
            self._sum -= self._spent.popleft().amount


class Quota:
    """The limits of one key and what was used of them; one thread uses it."""

    def __init__(self, limits: KeySettings, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.num_open, self.most_open = now, 0, limits.concurrent
        per_minute = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self.windows = {name: Window(limit) for name, limit in per_minute.items() if limit}

    def begin(self) -> "Grant":
        """Lets a request in. Raises ApiError 429 when the key has too many in this minute or at once."""
        if self.most_open is not None and self.num_open >= self.most_open:
            raise self._beyond(f"{self.most_open} requests at once", AT_ONCE_S)
        self.take("requests", 1)
        self.num_open += 1
        return Grant(self)

    def take(self, what: str, amount: int) -> Spent | None:
        """Takes from a window; None where there is none. Raises ApiError 429 where it does not fit."""
        window, now = self.windows.get(what), self.now()
        if window is None or (spent := window.take(amount, now)):
            return None if window is None else spent
        raise self._beyond(f"{window.limit} {what} in a minute", math.ceil(window.wait_s(amount, now)))

    def headers(self) -> dict[str, str]:
        """x-ratelimit-limit, -remaining and -reset of requests and tokens, as the OpenAI API has them."""
        found, now = {}, self.now()
        for what, window in self.windows.items():
            found[f"x-ratelimit-limit-{what}"] = str(window.limit)
            found[f"x-ratelimit-remaining-{what}"] = str(window.left(now))
            found[f"x-ratelimit-reset-{what}"] = f"{math.ceil(window.wait_s(window.limit, now))}s"
        return found

    def _beyond(self, limit: str, wait_s: int) -> ApiError:
        message = f"This key may ask no more than {limit}. Try again in {wait_s} s."
        return ApiError(429, message, code="rate_limit_exceeded", retry_s=wait_s, headers=self.headers())


class Grant:
    """One request that a quota let in."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._tokens: Spent | None = None
        self._is_open = True

    def reserve(self, tokens: int) -> None:
        """Takes the most tokens that the request can use. Raises ApiError 429 where they do not fit."""
        self._tokens = self._quota.take("tokens", tokens)

    def end(self, tokens: int) -> None:
        """The request has ended and used so many tokens; the rest is free again. Done twice, it is done once."""
        if not self._is_open:
            return
        self._is_open = False
        self._quota.num_open -= 1
        if self._tokens:
            self._quota.windows["tokens"].settle(self._tokens, tokens, self._quota.now())
