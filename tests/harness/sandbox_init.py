"""Turns into the container's command: run by `sandbox.py` as PID 1 of new mount, PID and network namespaces."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SYSTEM = ("bin", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "usr")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def mount(*arguments: str) -> None:
    """Mount, or end with what mount says."""
    subprocess.run(["mount", *arguments], check=True)


def build_root(root: Path, binds: list[tuple[str, str, bool]]) -> None:
    """A read-only root of the system's own folders and of what is bound into it."""
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root))
    for name in _SYSTEM:
        host = Path("/", name)
        if host.is_symlink():
            root.joinpath(name).symlink_to(host.readlink())
        elif host.is_dir():
            bind(host, root / name)
    for source, target, readonly in binds:
        bind(Path(source), root / target.lstrip("/"), readonly=readonly)
    mount("-o", "remount,ro", str(root))


def bind(host: Path, target: Path, *, readonly: bool = True) -> None:
    """Show a folder of the machine inside; only root can make it read-only below mounts that are locked."""
    target.mkdir(parents=True, exist_ok=True)
    mount("--rbind", str(host), str(target))
    if readonly and host.name not in {"dev", "proc"}:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(target)], capture_output=True, check=False)


def raise_loopback() -> None:
    """Bring up `lo`: probes and clients come through it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
        fcntl.ioctl(interface, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def main() -> None:
    """Build the root, enter it, become the pod's user, become the command."""
    spec = json.loads(sys.argv[1])
    if not spec.get("shares_network"):
        raise_loopback()
        # or a client that asks before there is a server can, by chance, be given its port and talk to itself
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("50000 60000", encoding="ascii")
    socket.sethostname(spec["host"])
    # a container runtime may well leave it at 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    build_root(Path(spec["root"]), spec["binds"])
    os.chroot(spec["root"])
    os.chdir(spec["directory"])
    # a user namespace of an ordinary user has one user only: it stays
    if Path("/proc/self/setgroups").read_text(encoding="ascii") == "allow\n":
        os.setgroups([])
        os.setgid(spec["uid"])
        os.setuid(spec["uid"])
    os.execvpe(spec["command"][0], spec["command"], spec["environment"])


if __name__ == "__main__":
    main()
