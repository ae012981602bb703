"""Pods, and what makes pods, alike: cdk8s-plus-27 renders a pod's spec in three places."""

from __future__ import annotations

import cdk8s

from constructs_lib.plus import kplus

PodOrWorkload = kplus.Pod | kplus.Workload
"""Pod, Job, CronJob, Deployment, StatefulSet or DaemonSet."""


def add_to_pod(workload: PodOrWorkload, fields: dict[str, object]) -> None:
    """Set fields of the pod's spec that cdk8s-plus-27 has no words for, by JSON pointers below the spec."""
    for field, value in fields.items():
        cdk8s.ApiObject.of(workload).add_json_patch(cdk8s.JsonPatch.add(f"{_spec(workload)}/{field}", value))


def leave_out_defaults(workload: PodOrWorkload) -> None:
    """Take out what cdk8s-plus always writes and the API server drops: see `leave_out_of_pod`."""
    if not workload.host_network:
        leave_out_of_pod(workload, "hostNetwork")
    waits = isinstance(workload, kplus.Deployment | kplus.StatefulSet) and workload.min_ready.to_seconds()
    waits = waits or (isinstance(workload, kplus.DaemonSet) and workload.min_ready_seconds)
    if not waits:
        cdk8s.ApiObject.of(workload).add_json_patch(cdk8s.JsonPatch.remove("/spec/minReadySeconds"))


def leave_out_of_pod(workload: PodOrWorkload, field: str) -> None:
    """Take out a field that the API server drops: with it, every `kubectl apply` would answer "configured"."""
    cdk8s.ApiObject.of(workload).add_json_patch(cdk8s.JsonPatch.remove(f"{_spec(workload)}/{field}"))


def _spec(workload: PodOrWorkload) -> str:
    if isinstance(workload, kplus.Pod):
        return "/spec"
    return "/spec/jobTemplate/spec/template/spec" if isinstance(workload, kplus.CronJob) else "/spec/template/spec"
