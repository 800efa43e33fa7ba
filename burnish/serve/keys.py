"""Who asks: keys that open one project, or all; only hashes are kept, and a wrong key takes as long as a right one."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from starlette.types import Scope

from burnish.config import KeySettings
from burnish.errors import UsageError
from burnish.serve.quota import Quota

KEY = "BURNISH_SERVE_KEY"
SHORTEST_KEY = 16
MAKE_ONE = "make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
ASKER = "burnish.key"
"""Where a request's scope holds the key that opened the door; nothing where none is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What opens the door."""

    name: str
    """Its name in the settings; of the one that opens everything, the environment variable."""
    project: str | None
    """The project that it opens; None: all of them, and the metrics."""
    digest: bytes
    quota: Quota | None = None


def key_of(
    text: str, env: str, *, project: str | None = None, limits: KeySettings | None = None, name: str = ""
) -> Key:
    """A key whose text stands in the environment variable `env`. Raises UsageError for a short one."""
    if len(text) < SHORTEST_KEY:
        raise UsageError(
            f"the key in {env} has {len(text)} characters, and {SHORTEST_KEY} are needed",
            hint=MAKE_ONE,
        )
    quota = Quota(limits) if limits else None
    return Key(name=name or env, project=project, digest=_digest(text), quota=quota)


def keys_of(project: str, keys: Mapping[str, KeySettings], environ: Mapping[str, str]) -> list[Key]:
    """The keys that a project's settings name. Raises UsageError where one is not set, or too short."""
    found = []
    for name, limits in keys.items():
        if limits.env not in environ:
            raise UsageError(
                f"the key {name} of {project} is to be in {limits.env}, which is not set",
                hint=f"set {limits.env} to a long random text; {MAKE_ONE}",
            )
        found.append(key_of(environ[limits.env], limits.env, project=project, limits=limits, name=name))
    return found


def check_keys(keys: Iterable[Key], projects: Iterable[str]) -> None:
    """Raises UsageError when a text stands for two keys, or when there are keys and a project that none opens."""
    known = list(keys)
    for at, key in enumerate(known):
        if twin := next((other for other in known[:at] if other.digest == key.digest), None):
            raise UsageError(
                f"{_shown(twin)} and {_shown(key)} have the same text",
                hint=f"every key needs a text of its own; {MAKE_ONE}",
            )
    closed = [project for project in projects if all(key.project not in (None, project) for key in known)]
    if known and closed:
        raise UsageError(
            f"there are keys, and none opens the project {closed[0]}",
            hint=f"name one under serve.keys in its burnish.yaml, or set {KEY}, which opens every project",
        )


def find_key(keys: Iterable[Key], text: str) -> Key | None:
    """The key with this text; all are looked at, whichever it is."""
    digest = _digest(text)
    matches = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matches[0] if matches else None


def asker(scope: Scope) -> Key | None:
    """The key of a request; None where the server needs none."""
    key = scope.get(ASKER)
    assert key is None or isinstance(key, Key), key
    return key


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _shown(key: Key) -> str:
    return key.name if key.project is None else f"the key {key.name} of {key.project}"
