"""One question over the wire by the `openai` client, with limits that it does not have: bytes, total time, redirects.

Faults are sorted here, once: what may pass by waiting, what an answer is worth, and what ends the work.
"""

import email.utils
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from burnish.client.ask import Ask, body_of
from burnish.config import EndpointSettings
from burnish.errors import ConfigError, ServiceError

MOST_BYTES = 8_000_000
"""Of one reply; a reply of a million tokens fits."""
PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 that another attempt may not meet."""
FREE = frozenset({429, 503, 529})
"""Statuses of an endpoint that did no work, so nothing is paid."""
HINTS = {
    401: "check the key in {key}",
    402: "the account at the endpoint has no money left",
    403: "check what the key in {key} may do",
    404: "check teacher.base_url and teacher.model",
}


class Passing(Exception):
    """A fault that another attempt may not meet."""

    def __init__(self, why: str, *, wait_s: float | None = None, may_be_paid: bool = False) -> None:
        super().__init__(why)
        self.why, self.wait_s, self.may_be_paid = why, wait_s, may_be_paid


class _TooMuchError(Exception):
    """A body passed a limit."""


@dataclass(kw_only=True)
class Connection:
    """An endpoint with its key in memory; neither repr nor errors show it."""

    settings: EndpointSettings
    key: str = field(default="", repr=False)
    _client: Any = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def send(self, ask: Ask) -> bytes:
        """The body of a reply with status 200, not yet believed.

        Raises Passing where another attempt may help, ServiceError where none will.
        """
        import httpx2
        import openai

        try:
            omitted = {} if self.key else {"Authorization": openai.Omit()}
            create = self._opened().chat.completions.with_raw_response.create
            answer = create(**body_of(ask, self.settings), extra_headers=omitted)
            return bytes(answer.http_response.content)
        except openai.APIStatusError as error:
            raise self._by_status(error) from None
        except openai.APITimeoutError:
            raise Passing(f"no answer within {self.settings.timeout_s:g} s", may_be_paid=True) from None
        except (openai.APIConnectionError, httpx2.HTTPError, _TooMuchError) as error:
            cause = error.__cause__ or error
            sent = not type(cause).__name__.startswith("Connect")
            raise Passing(self._clean(f"{cause} ({type(cause).__name__})"), may_be_paid=sent) from None

    def close(self) -> None:
        """Ends its connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _client(self.settings, self.key)
            return self._client

    def _by_status(self, error: Any) -> Exception:
        status = int(error.status_code)
        told = self._clean(f"status {status}: {_message(error)}")
        if 300 <= status < 400:
            return ServiceError(
                f"{self.settings.base_url} redirects elsewhere, which is not followed: neither rows nor key went on",
                hint="give the endpoint's final address as base_url",
            )
        is_quota = "insufficient_quota" in str(getattr(error, "code", "")) or "insufficient_quota" in told
        if (status in PASSING or status >= 500) and not is_quota:
            wait_s = wait_of(error.response.headers, datetime.now(UTC))
            return Passing(told, wait_s=wait_s, may_be_paid=status not in FREE)
        hint = HINTS.get(
            402 if is_quota else status, "the endpoint does not take the question as it is: see its message"
        )
        key = self.settings.key_env or "key_env (none is named in burnish.yaml)"
        return ServiceError(f"{self.settings.base_url} refuses: {told}", hint=hint.format(key=key))

    def _clean(self, text: str) -> str:
        """Without the key, whatever a server echoes."""
        plain = " ".join(text.split())[:300]
        return plain.replace(self.key, "***") if self.key else plain


def connect(settings: EndpointSettings, environ: Mapping[str, str] | None = None) -> Connection:
    """An endpoint ready to be asked; nothing is sent yet. Raises ConfigError when its key is not set."""
    known = os.environ if environ is None else environ
    key = known.get(settings.key_env, "") if settings.key_env else ""
    if settings.key_env and not key:
        raise ConfigError(
            f"the environment variable {settings.key_env}, which shall hold the endpoint's key, is not set",
            hint=f"export {settings.key_env}=..., or set key_env to the name of the variable that holds it",
        )
    if not key.isascii() or any(char.isspace() for char in key):
        raise ConfigError(
            f"the key in {settings.key_env} holds a space, a line break or a letter that no key can have",
            hint=f"set {settings.key_env} again, without quotes or line breaks",
        )
    return Connection(settings=settings, key=key)


def wait_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the endpoint asks to wait, by Retry-After as seconds or date; None: it does not say, or nonsense."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (email.utils.parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _client(settings: EndpointSettings, key: str) -> Any:
    import httpx2
    import openai

    http = httpx2.Client(
        timeout=httpx2.Timeout(settings.timeout_s, connect=min(20.0, settings.timeout_s)),
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        limits=httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
        event_hooks={"request": [_start], "response": [_limit(settings.timeout_s)]},
    )
    return openai.OpenAI(api_key=key or "none", base_url=settings.base_url, max_retries=0, http_client=http)


def _start(request: Any) -> None:
    request.extensions["burnish_began"] = time.monotonic()


def _limit(timeout_s: float) -> Callable[[Any], None]:
    """A hook that bounds a body before it is read: no compression, so many bytes, so long in all."""
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __init__(self, stream: Any, until: float) -> None:
            self.stream, self.until = stream, until

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for chunk in self.stream:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise _TooMuchError(f"the reply is longer than {MOST_BYTES:,} bytes")
                if time.monotonic() > self.until:
                    raise _TooMuchError(f"the reply was not whole within {timeout_s:g} s")
                yield chunk

        def close(self) -> None:
            self.stream.close()

    def hook(response: Any) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise _TooMuchError(f"the reply is compressed ({encoding[:20]}), which was not asked for")
        response.stream = Bounded(response.stream, response.request.extensions["burnish_began"] + timeout_s)

    return hook


def _message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        found = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(found, str):
            return found
    return str(error.response.text)[:200]
