"""The socket that the program listens on: taken before anything heavy starts, so that a port in use is said at once."""

import errno
import socket
import sys

from webui.core.errors import SetupError

TRIES = 20  # ports after the usual one


def listen(bind: str, port: int | None, usual: int) -> socket.socket:
    """A listening socket on `port`, or with None on `usual` or the next free one. Raises `SetupError`."""
    for candidate in [port] if port is not None else range(usual, usual + TRIES):
        try:
            return _listen(bind, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port is not None:
                raise SetupError(_sentence(error, bind, candidate)) from error
    raise SetupError(f"The ports {usual} to {usual + TRIES - 1} are all in use. Choose another with --port.")


def _listen(bind: str, port: int) -> socket.socket:
    # The protocol is named because asyncio sends without delay only then: an answer's body would wait 40 ms for its head to be confirmed.
    made = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # where it would let two programs share a port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((bind, port))
        made.listen(128)  # now: on Linux two sockets may be bound to one port as long as neither listens
    except BaseException:
        made.close()
        raise
    return made


def _sentence(error: OSError, bind: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another program. Choose another with --port, or leave it out to take the next free one."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used here: those below 1024 are the system's. Choose another with --port."
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"This machine has no address {bind}. Leave --host out, or use --listen for all its addresses."
    return f"{bind}:{port} cannot be listened on: {error.strerror}."
