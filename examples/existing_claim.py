"""A chart of another project: Aim and its claim exist already, and a Deployment is to record into it."""

import cdk8s

from constructs_lib import DEFAULT_IMAGE, AimStorage, ExistingClaim, harden
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
    mode = kplus.PersistentVolumeAccessMode.READ_WRITE_MANY
    storage = AimStorage(chart, "storage", source=ExistingClaim(name=claim), access_mode=mode)
    deployment = kplus.Deployment(
        chart,
        "evaluate",
        metadata=cdk8s.ApiObjectMetadata(name="evaluate"),
        replicas=1,
        strategy=kplus.DeploymentStrategy.recreate(),
    )
    deployment.add_container(
        image=image,
        image_pull_policy=kplus.ImagePullPolicy.IF_NOT_PRESENT,
        command=["python3", "-c", EVALUATE],
        resources=kplus.ContainerResources(memory=kplus.MemoryResources(request=cdk8s.Size.mebibytes(256))),
    )
    storage.attach(deployment)
    harden(deployment)
    return chart


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
