"""A Git repository with instances in it, as a controller follows one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from app.synthesis import synth
from tests.e2e import kube
from tests.e2e.conftest import instance
from tests.e2e.kube import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A Git repository in a folder, with two instances: one to be changed, and another that stays.

    Attributes:
        folder: where it is.
        controller: namespace of who follows it.
        namespace: of the instance that is changed.
        storage: of that instance.
    """

    folder: Path
    controller: str
    namespace: str
    storage: Manifest

    def begin(self, settings: str = "") -> None:
        """Make it, and commit both instances; with settings, Argo CD's Applications, too."""
        (self.folder / "instances").mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=self.folder, check=True)
        if settings:
            (self.folder / "argocd.yaml").write_text(settings, encoding="utf-8")
        self._write("other", instance(f"{self.namespace}-other", {"size": "1Gi", "dynamic": {}}))
        self.commit()

    def commit(self, **options: object) -> None:
        """Write the instance anew, synthesize, and commit what has changed."""
        self._write("aim", instance(self.namespace, self.storage) | options)
        self._publish()

    def remove(self) -> None:
        """Remove the instance, synthesize, and commit."""
        (self.folder / "instances/aim.yaml").unlink()
        self._publish()

    def _write(self, name: str, content: Manifest) -> None:
        file = self.folder / f"instances/{name}.yaml"
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def _publish(self) -> None:
        synth(self.folder / "instances", self.folder / "dist")
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run([*git, "add", "-A"], cwd=self.folder, check=True)
        changed = subprocess.run([*git, "diff", "--cached", "--quiet"], cwd=self.folder, check=False).returncode
        if changed:
            subprocess.run([*git, "commit", "-qm", "change"], cwd=self.folder, check=True)

    def revision(self) -> str:
        """The last commit."""
        show = ["git", "rev-parse", "HEAD"]
        return subprocess.run(show, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def image(self) -> str:
        """What the instance's newest pod runs."""
        return str(kube.server_pod(self.namespace)["spec"]["containers"][0]["image"])

    def deployments(self) -> list[Manifest]:
        """The Deployments of the instance."""
        return list(kube.found("deployments", "-n", self.namespace)["items"])

    def bound(self) -> dict[str, str]:
        """The namespaces, claims and volumes of both instances by their uids: they are bound, and are not new ones."""
        kept = []
        for name, namespace in (("aim", self.namespace), ("other", f"{self.namespace}-other")):
            claim = kube.found("pvc", f"{name}-runs", "-n", namespace)
            volume = kube.found("pv", claim["spec"]["volumeName"])
            assert claim["status"]["phase"] == volume["status"]["phase"] == "Bound"
            kept += [kube.found("namespace", namespace), claim, volume]
        return {each["metadata"]["uid"]: each["metadata"]["name"] for each in kept}

    def record(self) -> dict[str, int]:
        """Record runs that must survive everything."""
        kube.apply(kube.writer("writer", self.namespace, kube.claim_of("aim"), "--runs", 3))
        runs = kube.written("writer", self.namespace)
        kube.await_runs(runs, self.namespace)
        return runs
