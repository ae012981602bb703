"""A chart of another project: Aim and its claim exist already, and a Deployment is to record into it."""

import cdk8s

from constructs_lib import (
    DEFAULT_IMAGE,
    AimPod,
    AimStorage,
    ExistingClaim,
    ImageOptions,
    Resources,
    StorageOptions,
    attach,
)
from constructs_lib.plus import kplus

EVALUATE = """
import os, random, time
import aim

run = aim.Run(repo=os.environ["AIM_REPO"], experiment="evaluation")
for step in range(100_000):
    run.track(random.random(), name="accuracy", step=step)
    time.sleep(1)
"""


def add(
    app: cdk8s.App, *, namespace: str = "vision", claim: str = "aim-runs", image: str = DEFAULT_IMAGE
) -> cdk8s.Chart:
    """Add the chart to an app."""
    chart = cdk8s.Chart(app, "existing-claim", namespace=namespace, disable_resource_name_hashes=True)
    storage = AimStorage(
        chart, "storage", source=ExistingClaim(name=claim), options=StorageOptions(access_mode="ReadWriteMany")
    )
    deployment = kplus.Deployment(
        chart,
        "evaluate",
        metadata=cdk8s.ApiObjectMetadata(name="evaluate"),
        replicas=1,
        strategy=kplus.DeploymentStrategy.recreate(),
    )
    AimPod(deployment).add_container(
        image=ImageOptions(image=image),
        command=["python3", "-c", EVALUATE],
        resources=Resources(requests={"memory": "256Mi"}),
    )
    attach(deployment, storage)
    return chart


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
