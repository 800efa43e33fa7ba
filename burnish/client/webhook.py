"""Telling an address of alarms: only where the user of this machine allowed its host, no redirects, bounded in time.

Unlike a teacher even an address on this machine needs leave: settings travel, and a post may set off anything there.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from burnish.client.address import allow, allowed, host_of, is_loopback
from burnish.config import EndpointSettings
from burnish.errors import ConfigError, ServiceError

PURPOSE = "alarms"
"""Stands beside the host where allowed endpoints name the variable of their key, so that a leave is for this alone."""


def require_webhook(address: str, environ: Mapping[str, str] | None = None) -> str:
    """scheme://host:port of an address that alarms may go to. Raises ConfigError for any other, whatever its path."""
    host = _host(address)
    if urlsplit(address).scheme != "https" and not is_loopback(_endpoint(address)):
        raise ConfigError(f"alarms would go to {host} in the clear", hint="give watch.webhook an address with https")
    if [host, PURPOSE] not in allowed(environ):
        raise ConfigError(
            f"alarms of this project would go to {host}, which nobody allowed on this machine",
            hint="look at watch.webhook in burnish.yaml; if you want this, run `burnish watch --allow` once",
        )
    return host


def allow_webhook(address: str, environ: Mapping[str, str] | None = None) -> str:
    """Remembers for this user that alarms may go to the address's host, and returns that."""
    host = _host(address)
    allow(_endpoint(address), environ)
    return host


def post(address: str, payload: Mapping[str, Any], timeout_s: float) -> None:
    """Sends one JSON object; any status from 200 to 299 is thanks, its body is not read.

    Raises ServiceError, without the address's path, which may be a secret, when that is not so within `timeout_s`.
    """
    host = host_of(_endpoint(address))
    body = json.dumps(payload, ensure_ascii=True, allow_nan=False).encode()
    told: list[int | str] = []
    sender = threading.Thread(target=_send, args=(address, body, timeout_s, told), daemon=True)
    sender.start()
    sender.join(timeout_s)
    status = told[0] if told else f"no answer within {timeout_s:g} s"
    if isinstance(status, int) and 200 <= status < 300:
        return
    if isinstance(status, int) and 300 <= status < 400:
        status = f"{status}: it redirects elsewhere, which is not followed"
    raise ServiceError(f"{host} did not take the alarms: {status}", hint="they are in .burnish/logs/alarms.jsonl")


def _send(address: str, body: bytes, timeout_s: float, told: list[int | str]) -> None:
    import httpx2

    headers = {"Content-Type": "application/json", "User-Agent": "burnish"}
    try:
        with (
            httpx2.Client(timeout=timeout_s, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", address, content=body, headers=headers) as answer,
        ):
            told.append(int(answer.status_code))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        told.append(f"{error} ({type(error).__name__})".replace(address, host_of(_endpoint(address))))


def _host(address: str) -> str:
    """Says of an address that is none nothing but that: user, path and query may be secrets."""
    try:
        return host_of(_endpoint(address))
    except ConfigError:
        raise ConfigError(
            "watch.webhook is no address that alarms can go to",
            hint="give https://HOST[:PORT][/PATH], without a user, a query or a fragment, and not link-local",
        ) from None


def _endpoint(address: str) -> EndpointSettings:
    return EndpointSettings(base_url=address, model=PURPOSE, key_env=PURPOSE)
