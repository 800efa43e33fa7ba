"""Who may ask the server anything: those who know its token, under the names that it answers to."""

import hmac
import secrets
from dataclasses import dataclass

from burnish.errors import UsageError
from burnish.store.users import session_of

LOOPBACK = "127.0.0.1"
SHORTEST_TOKEN = 32
"""Characters of a token that was configured; one that burnish makes has 43."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a server listens, and the secret that opens it."""

    host: str
    port: int
    token: str

    @property
    def hosts(self) -> frozenset[str]:
        """Every Host header that is meant for this server; a name that somebody else points here is none of them."""
        names = {self.host} if self.host != LOOPBACK else {LOOPBACK, "localhost"}
        return frozenset({f"{name}:{self.port}" for name in names} | (names if self.port == 80 else set()))

    @property
    def start_url(self) -> str:
        """The address that turns the token into a cookie."""
        return f"{self.url}start?token={self.token}"

    @property
    def url(self) -> str:
        """The address of the first page, without a token."""
        return f"http://{self.host}:{self.port}/"

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers share cookies between the ports of a host."""
        return f"burnish-{self.port}"

    @property
    def session(self) -> str:
        """Value of the cookie: follows from the token, and does not give it away."""
        return session_of(self.token)

    def opens(self, token: str) -> bool:
        """Whether this is the token; takes as long for a wrong one."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def knows(self, session: str) -> bool:
        """Whether this is the cookie's value; takes as long for a wrong one."""
        return hmac.compare_digest(session.encode(), self.session.encode())


def check_access(host: str, token: str | None, *, has_users: bool = False) -> str:
    """The token of a server at `host`: the configured one, or a new one on this machine or where users have their own.

    Raises UsageError for a place that others reach without a configured token, for a short one, and for all addresses
    at once: the Host header is checked, so the one name that people type has to be known.
    """
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise UsageError(
            f"the token in BURNISH_UI_TOKEN has {len(token)} characters, and {SHORTEST_TOKEN} are needed",
            hint="make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if host in ("", "0.0.0.0", "::", "*"):
        raise UsageError(f"--host {host!r} is no name", hint="give the one address that people will type")
    if host not in (LOOPBACK, "localhost") and token is None and not has_users:
        raise UsageError(
            f"--host {host} can be reached by others, and no token is configured",
            hint="add users, or set BURNISH_UI_TOKEN to a long random text, or come through an SSH tunnel",
        )
    return token if token is not None else secrets.token_urlsafe(32)
