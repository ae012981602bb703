"""A server on NFS, and a training Job in its namespace that records over the same volume."""

import cdk8s

from constructs_lib import (
    DEFAULT_IMAGE,
    AimNamespace,
    AimPod,
    AimServer,
    AimStorage,
    ImageOptions,
    NfsExport,
    Resources,
    StorageOptions,
    attach,
)
from constructs_lib.plus import kplus

NFS = NfsExport(server="nfs.example.com", path="/exports/aim", mount_options=["nfsvers=4.1"])

TRAIN = """
import os, random
import aim

run = aim.Run(repo=os.environ["AIM_REPO"], experiment="shared-volume")
run["learning_rate"] = 0.001
loss = 4.0
for step in range(100):
    loss *= random.uniform(0.94, 1.0)
    run.track(loss, name="loss", step=step, context={"subset": "train"})
run.close()
"""


def add(app: cdk8s.App, *, namespace: str = "vision", image: str = DEFAULT_IMAGE) -> cdk8s.Chart:
    """Add the chart to an app."""
    chart = cdk8s.Chart(app, "shared-volume", namespace=namespace, disable_resource_name_hashes=True)
    AimNamespace(chart, "namespace")
    storage = AimStorage(chart, "storage", source=NFS, options=StorageOptions(size="1Ti"))
    AimServer(chart, "server", storage=storage, image=ImageOptions(image=image))
    job = kplus.Job(chart, "train", metadata=cdk8s.ApiObjectMetadata(name="train"))
    AimPod(job).add_container(
        image=ImageOptions(image=image),  # any with Aim 3.29 in it
        command=["python3", "-c", TRAIN],
        resources=Resources(requests={"memory": "256Mi"}),
        # training images often write where they like
        security_context=kplus.ContainerSecurityContextProps(read_only_root_filesystem=False),
    )
    attach(job, storage)
    return chart


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
