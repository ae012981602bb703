"""Host names, IP addresses and networks."""

from __future__ import annotations

import ipaddress
import re

from constructs_lib.errors import OptionError, require

_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\.?")


def check_host(option: str, host: str) -> None:
    """Reject a text that is neither a host name nor an IP address, such as a URL."""
    remedy = "write the host name or IP address alone, such as nfs.example.com or 10.0.0.7"
    require(is_host(host), option, host, remedy)


def is_host(host: str) -> bool:
    """Whether a text is a host name or an IP address without a zone."""
    if _address(host):
        return "%" not in host
    numeric = re.fullmatch(r"[\d.]+", host)
    return len(host) <= 253 and not numeric and bool(_HOST.fullmatch(host))


def check_ip(option: str, address: str) -> None:
    """Reject a text that is no IP address."""
    require(_address(address) and "%" not in address, option, address, "write an IP address, such as 10.0.0.7")


def normal_host(host: str) -> str:
    """One spelling for every host, to compare by."""
    return _address(host) or host.lower().rstrip(".")


def _address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def check_cidr(option: str, cidr: str) -> str:
    """Return a network in CIDR notation as Kubernetes writes it.

    Raises:
        OptionError: it is none, or it has host bits.
    """
    try:
        network = ipaddress.ip_network(cidr) if "/" in cidr and "%" not in cidr else None
    except ValueError:
        network = None
    # cdk8s-plus-27 has no pattern for an IPv4 address that is written as an IPv6 one
    if network is None or getattr(network.network_address, "ipv4_mapped", None):
        raise OptionError(option, cidr, "write a network in CIDR notation, no host bits set, such as 10.0.0.0/8")
    return str(network)
