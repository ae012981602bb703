"""A server on a block volume that only it can mount, and a training Job in another namespace."""

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
)
from constructs_lib.plus import kplus

TRAIN = """
import os, random
import aim

run = aim.Run(repo=os.environ["AIM_REPO"], experiment="remote-tracking")
loss = 4.0
for step in range(100):
    loss *= random.uniform(0.94, 1.0)
    run.track(loss, name="loss", step=step)
run.close()
"""


def add(
    app: cdk8s.App, *, namespace: str = "aim", training: str = "training", image: str = DEFAULT_IMAGE
) -> list[cdk8s.Chart]:
    """Add two charts to an app: Aim's, and one of the namespace that trains, which exists."""
    chart = cdk8s.Chart(app, "aim", namespace=namespace, disable_resource_name_hashes=True)
    AimNamespace(chart, "namespace")
    storage = AimStorage(chart, "storage", source=DynamicVolume(), options=StorageOptions(size="100Gi"))
    server = AimServer(chart, "server", storage=storage, image=ImageOptions(image=image))
    tracking = server.add_tracking()
    labels = {"kubernetes.io/metadata.name": training}
    tracking.allow_from(kplus.Namespaces.select(chart, "Training", labels=labels))

    other = cdk8s.Chart(app, "training", namespace=training, disable_resource_name_hashes=True)
    job = kplus.Job(other, "train", metadata=cdk8s.ApiObjectMetadata(name="train"), backoff_limit=6)
    AimPod(job).add_container(
        image=ImageOptions(image=image),  # of the server's version of Aim
        command=["python3", "-c", TRAIN],
        resources=Resources(requests={"memory": "256Mi"}),
        security_context=kplus.ContainerSecurityContextProps(user=1000),
    )
    server.connect(job)
    return [chart, other]


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
