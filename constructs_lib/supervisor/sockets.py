"""Sockets to listen on."""

from __future__ import annotations

import socket

from . import Refusal


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind to a port, without listening yet.

    Two sockets instead of one of both families: on such a one every IPv4 client would appear as `::ffff:10.0.0.1`,
    which no network in FORWARDED_ALLOW_IPS contains.

    Args:
        host: the address; empty for every address, of IPv4 and, where the kernel has it, of IPv6.
        port: the port.

    Raises:
        Refusal: the port is taken, or the address is not one of this host.
    """
    addresses = [host] if host else ["0.0.0.0", "::"]
    try:
        return [_bind(address, port) for address in addresses if host or _can_listen(address)]
    except OSError as error:
        raise Refusal(f"cannot listen on port {port} of {host or 'this pod'}: {error.strerror or error}") from None


def _can_listen(address: str) -> bool:
    try:
        _bind(address, 0).close()
    except OSError:  # the kernel has no IPv6, or IPv6 only
        return False
    return True


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # accepted connections inherit it; without it each answer waits some 40 ms for the acknowledgement of the one before
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
