"""What a cluster brings along beyond Kubernetes itself: enforces network policies, provisions volumes.

Small stand-ins for a network plug-in (`policies.py`) and a storage driver (folders of the node for claims of the class
`local`), which cannot be had as Go modules. Run as `python -m tests.e2e.cluster.controllers` on the node.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.cluster.policies import EGRESS, INGRESS, Cluster

CLUSTER = Path(os.environ["CLUSTER"])
VOLUMES = CLUSTER / "var/volumes"
PROVISIONER = "aim.local/local"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"

Object = dict[str, Any]


def call(path: str, body: Object | None = None, method: str | None = None) -> Object:
    """Ask the API server."""
    context = ssl.create_default_context(cafile=str(CLUSTER / "pki/ca.crt"))
    context.load_cert_chain(CLUSTER / "pki/admin.crt", CLUSTER / "pki/admin.key")
    request = urllib.request.Request("https://127.0.0.1:6443" + path, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return dict(json.load(answer))


def listed(path: str) -> list[Object]:
    """The objects of a kind."""
    return list(call(path)["items"])


def enforce() -> None:
    """Give the packet filter the rules of now, all at once."""
    cluster = Cluster(pods=listed("/api/v1/pods"), namespaces=listed("/api/v1/namespaces"), policies=listed(POLICIES))
    subprocess.run(["iptables-restore", "--noflush", "--wait"], input=cluster.script(), text=True, check=True)


def provision() -> None:
    """Make a folder, and its volume, for each claim that waits for one; remove those that were let go of."""
    for claim in listed("/api/v1/persistentvolumeclaims"):
        here = claim["metadata"].get("annotations", {}).get("volume.kubernetes.io/storage-provisioner") == PROVISIONER
        if here and claim["status"]["phase"] == "Pending" and not claim["spec"].get("volumeName"):
            name = f"pvc-{claim['metadata']['uid']}"
            (VOLUMES / name).mkdir(parents=True, exist_ok=True)
            (VOLUMES / name).chmod(0o777)
            call("/api/v1/persistentvolumes", volume(name, claim))
    for made in listed("/api/v1/persistentvolumes"):
        name = made["metadata"]["name"]
        ours = made["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
        if ours and made["status"]["phase"] == "Released":
            call(f"/api/v1/persistentvolumes/{name}", method="DELETE")
            shutil.rmtree(VOLUMES / name, ignore_errors=True)


def volume(name: str, claim: Object) -> Object:
    """The volume of a claim."""
    reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
    reference |= {key: claim["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": claim["spec"]["resources"]["requests"],
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": claim["spec"]["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(VOLUMES / name)},
            "claimRef": reference,
        },
    }


def main() -> None:
    """Look twice a second."""
    hook()
    while True:
        for action in (enforce, provision):
            with reported():
                action()
        time.sleep(0.5)


def hook() -> None:
    """Send packets through the chains: those between pods through both, those to the node itself by their sender's."""
    for direction, chains in ((INGRESS, ["FORWARD"]), (EGRESS, ["FORWARD", "INPUT"])):
        subprocess.run(["iptables", "-N", direction.chain], check=True)
        for chain in chains:
            subprocess.run(["iptables", "-I", chain, "-j", direction.chain], check=True)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Say what went wrong, and go on."""
    try:
        yield
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(error, flush=True)


if __name__ == "__main__":
    main()
