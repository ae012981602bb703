"""What a login costs: the same pod, asked past it and through it, side by side."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlencode

import cdk8s

from app.login import TOKEN_COST, entry
from bench.load import CHEAP, HEADERS
from bench.recording import rate
from bench.serving import load, own_folder
from tests.harness.building import aim_server, dynamic
from tests.harness.login_pod import asking, logging_in, volumes
from tests.harness.logins import by_password
from tests.harness.manifest_rules import Manifest, pod_of
from tests.harness.sandbox import running, wait_for

PORT = 4180
POINTS = 1500


def manifests() -> list[Manifest]:
    """A server with tracking, behind a login by password."""
    chart = cdk8s.Chart(cdk8s.App(outdir=tempfile.mkdtemp()), "chart", namespace="bench")
    aim_server(chart, "server", storage=dynamic(chart), login=by_password(allow_plain_http=True)).add_tracking()
    return list(cdk8s.Testing.synth(chart))


def measure(volume: Path, folder: Path) -> dict[str, tuple[float, float]]:
    """Each rate past the login, and through it: by a cookie, and by a token as `make login` makes them."""
    found, token = manifests(), secrets.token_hex(32)
    files = {"cookie-secret": secrets.token_hex(16), "htpasswd": entry("ci", token, TOKEN_COST) + "\n"}
    (tracking,) = [each for each in pod_of(found)["containers"] if each["name"] == "tracking"]
    with running(found, volume) as pod, pod.running(tracking), asking(pod) as ask:
        pod.await_ready(CHEAP)
        wait_for(lambda: pod.get("/status/", port=53800, timeout=2), seconds=60, still=pod)
        with logging_in(pod, found, volumes(found, folder, files), port=PORT) as login:
            form = urlencode({"username": "ci", "password": token})
            kind = "application/x-www-form-urlencoded"
            answer = ask.get(PORT, "/oauth2/sign_in", method="POST", body=form, content_type=kind)
            cookie = answer.headers.partition("_aim_aim=")[2].partition(";")[0]
            headers = f"{HEADERS}Cookie: _aim_aim={cookie}\r\n"
            both: dict[str, tuple[float, float]] = {}
            for connections in (1, 8):  # a user's page; and more than two cores can do for proxy, Aim and client
                direct, through = (load(pod, "cheap", *way, connections) for way in ((43800, HEADERS), (PORT, headers)))
                both |= {f"cheap, {connections} by cookie, {name}": (direct[name], through[name]) for name in direct}
            for clients in (1, 4):
                ways = ["aim://127.0.0.1:53800", f"aim://ci:{token}@127.0.0.1:{PORT}"]
                past, by_token = (rate(pod, (way, POINTS), clients) for way in ways)
                both[f"points/s, by token, {clients} clients"] = past, by_token
            used = Path(f"/proc/{login.process.pid}/smaps_rollup").read_text(encoding="ascii")
            pss = next(int(line.split()[1]) for line in used.splitlines() if line.startswith("Pss:"))
            return {**both, "MiB of the login": (0, pss / 1024)}


def main() -> None:
    """Measure, and print both and their ratio."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        measured = measure(own_folder(root, "volume"), Path(root, "mounted"))
    print("\nlogin, empty volume:                     past    through    through / past")
    for name, (past, through) in measured.items():
        ratio = f"{through / past:10.2f}" if past else ""
        print(f"{name:36} {past:8.1f} {through:8.1f} {ratio}")


if __name__ == "__main__":
    main()
