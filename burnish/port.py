"""A socket of this machine that listens, bound before its address is told."""

import socket
from contextlib import ExitStack

from burnish.errors import UsageError


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to this address; port 0 takes any free one. Raises UsageError when it cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as undo:
            bound = undo.enter_context(socket.socket(family, kind))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            undo.pop_all()
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            hint="choose another --port; 0 takes any free one",
        ) from error
    return bound
