"""Whatever is written: valid manifests, or an error that says what to write instead."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import cdk8s
import kubernetes_validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.synthesis import synth
from constructs_lib import NfsExport, OptionError, Resources, ServiceOptions
from tests.harness.building import aim_server, aim_storage
from tests.harness.manifest_rules import problems

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "default")

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
NAMESPACES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
SIZES = st.builds(
    lambda n, unit: f"{n}{unit}", st.integers(1, 10**6), st.sampled_from(["", "Mi", "Gi", "M", "Ti", "e3"])
)
PORTS = st.integers(1, 65535)
PATHS = st.from_regex(r"(/[A-Za-z0-9_.-]{1,8}){1,4}/?", fullmatch=True).filter(lambda path: ".." not in path.split("/"))
HOSTS = st.one_of(
    st.ip_addresses().map(str), st.from_regex(r"[a-z]([-a-z0-9]{0,9}[a-z0-9])?(\.[a-z]{2,3})?", fullmatch=True)
)
ANYTHING = st.one_of(st.text(max_size=80), NAMES, SIZES, PATHS, HOSTS)


def build(
    *, name: str, namespace: str, size: str, host: str, path: str, port: int, image: str = "a/b:1", memory: str = "1Gi"
) -> list[dict[str, Any]]:
    """The manifests of an instance of these values."""
    with tempfile.TemporaryDirectory() as outdir:
        chart = cdk8s.Chart(cdk8s.App(outdir=outdir), "chart", namespace=namespace)
        source = NfsExport(server=host, path=path)
        storage = aim_storage(chart, "storage", source=source, size=size, name=name)
        aim_server(
            chart,
            "server",
            storage=storage,
            image=image,
            resources=Resources(limits={"memory": memory}),
            service=ServiceOptions(type="NodePort", port=port, node_port=port),
            allow_anonymous=True,
        )
        return list(cdk8s.Testing.synth(chart))


@given(name=NAMES, namespace=NAMESPACES, size=SIZES, host=HOSTS, path=PATHS, port=PORTS)
def test_valid_values_give_valid_manifests(**values: Any) -> None:
    """No valid name, size, host, path or port leads to a manifest that a cluster refuses."""
    manifests = build(**values)
    assert problems(manifests) == []
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.27", strict=True)


FINE: dict[str, Any] = {"name": "aim", "namespace": "ml", "size": "1Gi", "host": "a", "path": "/a", "port": 80}
OPTIONS = st.sampled_from(["name", "namespace", "size", "host", "path", "image", "memory"])


@given(option=OPTIONS, value=ANYTHING)
def test_any_text_gives_valid_manifests_or_an_error_of_ours(option: str, value: str) -> None:
    """What is not valid is a ValueError that says what to write, never an error of cdk8s or of Node.js."""
    try:
        manifests = build(**{**FINE, option: value})
    except OptionError as error:
        assert "chart/s" in error.construct
        assert len(error.remedy.split()) > 2
        return
    assert problems(manifests) == []
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.27", strict=True)


@given(port=st.integers())
def test_any_number_gives_a_valid_port_or_an_error_of_ours(port: int) -> None:
    """A port out of range is refused, whatever its size."""
    assume(not 0 < port < 65536)
    try:
        build(**{**FINE, "port": port})
    except OptionError as error:
        assert error.option == "service.port"
    else:
        raise AssertionError(port)


FILES = st.fixed_dictionaries(
    {"namespace": NAMESPACES, "size": SIZES, "workers": st.integers(1, 4), "tracking": st.booleans()}
)


@settings(max_examples=25)
@given(first=FILES, other=FILES)
def test_no_instance_file_changes_the_output_of_another(first: dict[str, Any], other: dict[str, Any]) -> None:
    """Whatever else is in the folder, or beside it in the same namespace: the same bytes."""
    with tempfile.TemporaryDirectory() as root:
        instances, dist = Path(root, "instances"), Path(root, "dist")
        instances.mkdir()
        found = []
        for name, content in (("first", first), ("other", other)):
            file = {
                "namespace": content["namespace"],
                "storage": {"size": content["size"], "dynamic": {}},
                "server": {"workers": content["workers"], **({"tracking": {}} if content["tracking"] else {})},
            }
            (instances / f"{name}.yaml").write_text(json.dumps(file), encoding="utf-8")
            (Path(root) / "argocd.yaml").write_text("repository: https://git.example.com/a.git\n", encoding="utf-8")
            synth(instances, dist)
            found.append([(dist / path).read_bytes() for path in ("first.k8s.yaml", "argocd/first.k8s.yaml")])
        assert found[0] == found[1]
