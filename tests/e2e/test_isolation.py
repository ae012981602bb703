"""Instances keep to themselves, and strangers stay out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.conftest import Volumes, instance
from tests.e2e.kube import Client


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
