"""Runs one Aim server on one volume: the process of the server's container.

`AimServer` carries this package to the pod in ConfigMaps, so that any image with Aim 3.29 in it behaves. It stands
alone: the standard library of Python 3.9, and Aim where Aim is.

It does what `aim up` does, and what `aim up` does not: it waits until it is alone on the volume and watches that it
stays so, completes an interrupted initialisation, rebuilds a damaged index, closes the holes of Aim's API (`patches`),
answers the kubelet itself, tells the truth in its exit code, drains when it is told to stop, and always ends.

    python3 -m supervisor serve    holds the volume, answers the kubelet, starts and watches the next one
    python3 -m supervisor host     imports Aim once, and forks the indexer and the web server's workers

    python3 -m supervisor track    in a container of its own: answers the kubelet, starts and watches the next one
    python3 -m supervisor accept   takes runs over the network (`aim server`)

    python3 -m supervisor stage    copies the living repository to a folder of the volume, for a backup
    python3 -m supervisor finish   notes that the copy is in the backup, and removes it from the volume
    python3 -m supervisor drill    opens a restored copy with Aim, and counts its runs
    python3 -m supervisor admit    refuses to restore where a server runs
    python3 -m supervisor restore  puts a restored copy in place; what was there is kept

    python3 -m supervisor maintain does a chore on the repository, beside a server that goes on
"""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818
    """Why the server does not start, or has to end; its text is the container's last line."""


def say(text: str) -> None:
    """Write a line of the supervisor's own among Aim's."""
    print(f"aim-supervisor: {text}", flush=True)
