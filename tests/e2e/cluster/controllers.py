"""What a cluster brings along beyond Kubernetes itself: enforces network policies, provisions volumes.

Small stand-ins for a network plug-in and a storage driver, which cannot be had as Go modules: ingress rules by pods,
namespaces, address blocks and TCP ports; folders of the node for claims of the class `local`.
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

CLUSTER = Path(os.environ["CLUSTER"])
VOLUMES = CLUSTER / "var/volumes"
PROVISIONER = "aim.local/local"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
CHAIN = "AIM-POLICIES"

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


def matches(selector: Object | None, labels: Object) -> bool:
    """Whether labels fit a selector of matchLabels; other ones are not known here."""
    if selector and set(selector) - {"matchLabels"}:
        raise ValueError(f"not known here: {selector}")
    return all(labels.get(key) == value for key, value in (selector or {}).get("matchLabels", {}).items())


def labels(item: Object) -> Object:
    """The labels of an object."""
    return dict(item["metadata"].get("labels", {}))


def rules(pods: list[Object], namespaces: list[Object], policies: list[Object]) -> list[str]:
    """The packet filter's rules: what is allowed, and after it that nothing else is."""
    running = [pod for pod in pods if pod["status"]["phase"] in {"Pending", "Running"}]
    addressed = [pod for pod in running if pod["status"].get("podIP") and not pod["spec"].get("hostNetwork")]
    allowed, closed = [], set()
    for policy in policies:
        home = policy["metadata"]["namespace"]
        local = [pod for pod in addressed if pod["metadata"]["namespace"] == home]
        for pod in [pod for pod in local if matches(policy["spec"].get("podSelector"), labels(pod))]:
            address = pod["status"]["podIP"]
            closed.add(f"-A {CHAIN} -d {address} -j DROP")
            for rule in policy["spec"].get("ingress", []):
                sources = [found for peer in rule.get("from", []) for found in peers(peer, home, addressed, namespaces)]
                for source in sources if "from" in rule else [""]:
                    allowed += [f"-A {CHAIN} -d {address} {source} {port} -j RETURN" for port in ports(rule, pod)]
    return [*allowed, *sorted(closed)]


def peers(peer: Object, home: str, pods: list[Object], namespaces: list[Object]) -> list[str]:
    """The sources that a peer of a policy stands for."""
    if block := peer.get("ipBlock"):
        return [f"-s {block['cidr']}"]
    chosen = {home}
    if "namespaceSelector" in peer:
        chosen = {each["metadata"]["name"] for each in namespaces if matches(peer["namespaceSelector"], labels(each))}
    found = [pod for pod in pods if pod["metadata"]["namespace"] in chosen]
    return [f"-s {pod['status']['podIP']}" for pod in found if matches(peer.get("podSelector"), labels(pod))]


def ports(rule: Object, pod: Object) -> list[str]:
    """The ports of a rule, those with a name looked up in the pod."""
    named = {
        port.get("name"): port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", [])
    }
    numbers = [named.get(port["port"], port["port"]) for port in rule.get("ports", [])]
    return [f"-p tcp --dport {number}" for number in numbers] if "ports" in rule else [""]


def enforce() -> None:
    """Give the packet filter the rules of now, all at once."""
    found = rules(listed("/api/v1/pods"), listed("/api/v1/namespaces"), listed(POLICIES))
    lines = ["*filter", f":{CHAIN} - [0:0]", f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    restore = "\n".join([*lines, *found, "COMMIT", ""])
    subprocess.run(["iptables-restore", "--noflush", "--wait"], input=restore, text=True, check=True)


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
    subprocess.run(["iptables", "-N", CHAIN], check=True)
    subprocess.run(["iptables", "-I", "FORWARD", "-j", CHAIN], check=True)
    while True:
        for action in (enforce, provision):
            with reported():
                action()
        time.sleep(0.5)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Say what went wrong, and go on."""
    try:
        yield
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(error, flush=True)


if __name__ == "__main__":
    main()
