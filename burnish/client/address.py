"""Where a teacher may be: http or https, no redirects, and no host outside this machine that its user did not allow.

Settings travel with a project, and whoever wrote them chose the address and the name of the key. So a host gets the
project's rows and a key only after `burnish teacher --allow` has been run once on this machine, by its user.
"""

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from burnish.config import EndpointSettings
from burnish.errors import ConfigError
from burnish.store.files import storage_errors, write_atomic

ALLOWED_FILE = "burnish/endpoints.json"
"""Under the user's configuration folder, outside every project."""


def host_of(settings: EndpointSettings) -> str:
    """scheme://host:port of an endpoint. Raises ConfigError for an address that no teacher can have."""
    try:
        parts = urlsplit(settings.base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused(settings.base_url, str(error)) from error
    if parts.scheme not in ("http", "https"):
        raise _refused(settings.base_url, f"its scheme is {parts.scheme or 'missing'}, not http or https")
    if not host or "\\" in settings.base_url or parts.username is not None or parts.query or parts.fragment:
        raise _refused(settings.base_url, "it must be http(s)://HOST[:PORT][/PATH] and nothing else")
    if _is_link_local(host):
        raise _refused(settings.base_url, "link-local addresses belong to the machine's own services")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def require_consent(settings: EndpointSettings, environ: Mapping[str, str] | None = None) -> None:
    """Raises ConfigError unless the endpoint is on this machine or its user allowed it, with the name of its key."""
    host = host_of(settings)
    if not is_loopback(settings) and [host, settings.key_env] not in allowed(environ):
        key = f" and the key in {settings.key_env}" if settings.key_env else ""
        raise ConfigError(
            f"rows of this project{key} would go to {host}, which nobody allowed on this machine",
            hint="look at the endpoints in burnish.yaml; if you want this, run `burnish teacher --allow` once",
        )


def is_loopback(settings: EndpointSettings) -> bool:
    """Whether the endpoint is on this machine."""
    name = urlsplit(settings.base_url).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def allow(settings: EndpointSettings, environ: Mapping[str, str] | None = None) -> Path:
    """Remembers for this user that the endpoint may get rows and its key; returns the file in which it stands."""
    path = _allowed_file(environ)
    entry = [host_of(settings), settings.key_env]
    known = allowed(environ)
    with storage_errors("remembering an allowed endpoint", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps([*known, *([] if entry in known else [entry])], indent=1) + "\n").encode())
    return path


def allowed(environ: Mapping[str, str] | None = None) -> list[list[str]]:
    """Host and name of the key of every endpoint that this user allowed."""
    path = _allowed_file(environ)
    if not path.exists():
        return []
    try:
        return [[str(part) for part in entry] for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="remove it and allow your endpoints again") from error


def _allowed_file(environ: Mapping[str, str] | None) -> Path:
    known = os.environ if environ is None else environ
    return Path(known.get("XDG_CONFIG_HOME") or Path(known.get("HOME", "~")).expanduser() / ".config") / ALLOWED_FILE


def _is_link_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.split("%")[0])
        return (getattr(address, "ipv4_mapped", None) or address).is_link_local
    except ValueError:
        return host.rstrip(".").endswith("metadata.google.internal")


def _refused(address: str, why: str) -> ConfigError:
    return ConfigError(
        f"base_url {address!r} is no address of a teacher: {why}",
        hint="give the address of an OpenAI-compatible API, such as http://localhost:8000/v1",
    )
