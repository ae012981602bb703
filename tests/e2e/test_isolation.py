"""Instances keep to themselves, and strangers stay out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Client
from tests.harness.sandbox import skip


def test_instances_do_not_touch_each_other(folder: Path, volumes: Volumes) -> None:
    """Two in one namespace, and one of the same name in another: each has its own runs, whatever befalls the rest."""
    with kube.namespaces(2) as (here, there):
        places = {("aim", here): "a", ("other", here): "b", ("aim", there): "c"}
        files = {
            f"{name}-{key}": instance(namespace, volumes.host_path(f"{here}-{key}")) | {"name": name}
            for (name, namespace), key in places.items()
        }
        files["other-b"]["createNamespace"] = False
        dist = kube.synthesized(folder, **files)
        kube.kubectl("apply", "-f", dist)
        runs = {}
        for name, namespace in places:
            kube.ready(namespace, name)
            kube.apply(kube.writer(f"train-{name}", namespace, kube.claim_of(name)))
            runs[name, namespace] = kube.written(f"train-{name}", namespace)
            kube.await_runs(runs[name, namespace], namespace, name)
        assert {place: kube.counted(place[1], place[0]) for place in places} == runs
        kube.kubectl("delete", "-f", dist / "aim-a.k8s.yaml", "-l", "app.kubernetes.io/component!=storage")
        for name, namespace in list(places)[1:]:
            assert kube.counted(namespace, name) == runs[name, namespace]


def test_the_policy_admits_the_own_namespace_and_who_is_named(folder: Path, volumes: Volumes) -> None:
    """By default pods of other namespaces get no answer; with `allowFrom`, those that it names do."""
    with kube.namespaces(3) as (home, friends, strangers):
        storage = volumes.host_path(home)
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=instance(home, storage)))
        for name in (friends, strangers):
            kube.kubectl("create", "namespace", name)
        clients = {name: Client(namespace=name) for name in (home, friends, strangers)}
        kube.ready(home)
        for client in clients.values():
            client.start()
        url = f"http://aim.{home}.svc/api/projects/"
        kube.wait_for(lambda: clients[home].get(url), seconds=30)
        for name in (friends, strangers):
            with pytest.raises(kube.FailedError, match="timed out"):
                clients[name].get(url, seconds=3)
        peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": friends}}}
        content = instance(home, storage, allowFrom=[peer])
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
        kube.wait_for(lambda: clients[friends].get(url, seconds=3), seconds=30, what="a friend's answer")
        with pytest.raises(kube.FailedError, match="timed out"):
            clients[strangers].get(url, seconds=3)


REACH = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 3).close()
        print(place)
    except OSError:
        pass
"""
"""Prints those of some places that can be reached."""


def reached(pod: str, namespace: str, places: list[str]) -> list[str]:
    """The places that a pod reaches."""
    return kube.kubectl("exec", "-n", namespace, pod, "--", "python3", "-c", REACH, *places).split()


def test_the_servers_pod_reaches_nothing_but_what_is_named(folder: Path, volumes: Volumes) -> None:
    """Not the API server, no pod and no host outside; with `allowTo`, what that names, by its name."""
    outside = os.environ.get("OUTSIDE") or skip(
        "no OUTSIDE: name a host outside of the cluster that answers on port 80"
    )
    with kube.namespaces(2) as (home, friends):
        storage = volumes.host_path(home)
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=instance(home, storage)))
        kube.kubectl("create", "namespace", friends)
        kube.apply(kube.pod("friend", friends, ["python3", "-m", "http.server", "8000"]))
        kube.kubectl("label", "pod", "friend", "-n", friends, "app=friend")
        kube.kubectl("expose", "pod", "friend", "-n", friends, "--port=8000")
        Client(namespace=home).start()
        kube.ready(home)
        kube.await_pod("friend", friends)
        friend = f"friend.{friends}.svc"
        address = kube.found("pod", "friend", "-n", friends)["status"]["podIP"]
        api = kube.found("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]
        places = [f"{friend}:8000", f"{address}:8000", f"{api}:443", f"{outside}:80"]
        kube.wait_for(lambda: reached("client", home, places) == places, seconds=60, what="what there is to reach")
        assert reached("deployment/aim", home, places) == []
        peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": friends}}, "ports": [8000]}
        content = instance(home, storage, allowTo=[peer])
        kube.kubectl("apply", "-f", kube.synthesized(folder, aim=content))
        kube.wait_for(lambda: reached("deployment/aim", home, places) == places[:2], seconds=60, what="a friend alone")
