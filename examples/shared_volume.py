"""A server on NFS, and a training Job in its namespace that records over the same volume."""

import cdk8s

from constructs_lib import DEFAULT_IMAGE, AimNamespace, AimServer, AimStorage, NfsExport, harden
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
    storage = AimStorage(chart, "storage", source=NFS, size="1Ti")
    AimServer(chart, "server", storage=storage, image=image)
    job = kplus.Job(chart, "train", metadata=cdk8s.ApiObjectMetadata(name="train"))
    job.add_container(
        image=image,  # any with Aim 3.29 in it
        image_pull_policy=kplus.ImagePullPolicy.IF_NOT_PRESENT,
        command=["python3", "-c", TRAIN],
        resources=kplus.ContainerResources(memory=kplus.MemoryResources(request=cdk8s.Size.mebibytes(256))),
        # training images often write where they like
        security_context=kplus.ContainerSecurityContextProps(read_only_root_filesystem=False),
    )
    storage.attach(job)
    harden(job)  # AimNamespace admits pods of Pod Security "restricted" only
    return chart


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
