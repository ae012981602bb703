"""Runs one Aim server on one volume: the process of the server's container.

`AimServer` carries this package to the pod in a ConfigMap, so that any image with Aim 3.29 in it behaves. It stands
alone: the standard library of Python 3.9, and Aim where Aim is.

It does what `aim up` does, in the same processes, and what `aim up` does not: it waits until it is alone on the volume,
heals an interrupted initialisation, tells the truth in its exit code, drains when it is told to stop, and ends when
Aim's indexer dies, which otherwise leaves a server that answers everything and finds nothing.

    python3 -m supervisor serve    holds the volume, starts the two below and watches them
    python3 -m supervisor index    prepares the repository, then indexes new runs (the parent process of `aim up`)
    python3 -m supervisor web      the web server (`python -m uvicorn` in `aim up`)

    python3 -m supervisor track    in a container of its own: checks the volume, and becomes the one below
    python3 -m supervisor accept   takes runs over the network (`aim server`)
"""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818
    """Why the server does not start, or has to end; its text is the container's last line."""


def say(text: str) -> None:
    """Write a line of our own among Aim's."""
    print(f"aim-supervisor: {text}", flush=True)
