"""A CronJob that reads: the best loss of every experiment, each morning, on a volume that can be on one node only."""

import cdk8s

from constructs_lib import (
    DEFAULT_IMAGE,
    AimNamespace,
    AimPod,
    AimServer,
    AimStorage,
    DynamicVolume,
    ImageOptions,
    Resources,
    StorageOptions,
    attach,
)
from constructs_lib.plus import kplus

REPORT = """
import collections, os
import aim

best = collections.defaultdict(lambda: float("inf"))
for run in aim.Repo(os.environ["AIM_REPO"]).iter_runs():
    for metric in run.metrics():
        if metric.name == "loss":
            best[run.experiment] = min(best[run.experiment], *metric.values.values_list())
for experiment, loss in sorted(best.items()):
    print(f"{experiment}: {loss:.4f}")
"""


def add(app: cdk8s.App, *, namespace: str = "vision", image: str = DEFAULT_IMAGE) -> cdk8s.Chart:
    """Add the chart to an app."""
    chart = cdk8s.Chart(app, "report", namespace=namespace, disable_resource_name_hashes=True)
    AimNamespace(chart, "namespace")
    storage = AimStorage(chart, "storage", source=DynamicVolume(), options=StorageOptions(size="100Gi"))
    AimServer(chart, "server", storage=storage, image=ImageOptions(image=image))
    report = kplus.CronJob(
        chart,
        "report",
        metadata=cdk8s.ApiObjectMetadata(name="report"),
        schedule=cdk8s.Cron(minute="0", hour="6"),
        time_zone="Europe/Berlin",
    )
    AimPod(report).add_container(
        image=ImageOptions(image=image),
        command=["python3", "-c", REPORT],
        resources=Resources(requests={"memory": "256Mi"}),
    )
    # reading takes Aim's locks, which are files: it must be able to write, too
    attach(report, storage, share_node=True)
    return chart


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
