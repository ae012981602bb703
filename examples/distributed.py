"""A distributed training Job, several pods at once: each records a run of its own, as a run of Aim's has one writer.

What belongs together is found by what the runs have in common: `run.job == "distributed"`.
"""

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
WORKERS = 4

# as torchrun would, but for the training: a rank for each pod, made-up metrics
TRAIN = """
import os, random, time
import aim

rank = int(os.environ["JOB_COMPLETION_INDEX"])
run = aim.Run(repo=os.environ["AIM_REPO"], experiment="distributed")
run["job"], run["rank"] = "distributed", rank
for step in range(50):
    run.track(random.random() / (step + 1), name="loss", step=step, context={"rank": rank})
    time.sleep(0.1)
run.close()
"""


def add(app: cdk8s.App, *, namespace: str = "vision", image: str = DEFAULT_IMAGE) -> cdk8s.Chart:
    """Add the chart to an app."""
    chart = cdk8s.Chart(app, "distributed", namespace=namespace, disable_resource_name_hashes=True)
    AimNamespace(chart, "namespace")
    storage = AimStorage(chart, "storage", source=NFS, options=StorageOptions(size="1Ti"))
    AimServer(chart, "server", storage=storage, image=ImageOptions(image=image))
    job = kplus.Job(chart, "train", metadata=cdk8s.ApiObjectMetadata(name="train"))
    AimPod(job).add_container(
        image=ImageOptions(image=image),
        command=["python3", "-c", TRAIN],
        resources=Resources(requests={"memory": "256Mi"}),
    )
    attach(job, storage)
    cdk8s.ApiObject.of(job).add_json_patch(  # cdk8s-plus-27 has no words for these
        cdk8s.JsonPatch.add("/spec/completionMode", "Indexed"),
        cdk8s.JsonPatch.add("/spec/completions", WORKERS),
        cdk8s.JsonPatch.add("/spec/parallelism", WORKERS),
    )
    return chart


if __name__ == "__main__":
    app = cdk8s.App()
    add(app)
    app.synth()
