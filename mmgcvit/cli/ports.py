"""Ports of this machine, by which processes find each other."""

import socket

# The address by which a machine reaches itself, and nobody else does.
LOOPBACK = '127.0.0.1'


def free_port() -> int:
    """A port that no program has."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def check_port(name: str, port: int) -> None:
    """Refuse a port that another program has, or that there is not.

    Args:
        name: The variable by which the user sets it.
        port: Its number.

    Raises:
        SystemExit: It cannot be used.
    """
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(('', port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, 'strerror', None) or 'there are ports 1 to 65535'
        raise SystemExit(f'{name}={port} cannot be used ({reason}); set {name} to a free one') from None
