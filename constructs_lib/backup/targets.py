"""Where copies go: a volume, a bucket, or any repository that restic can be pointed at."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from constructs_lib.errors import below, check_text, require
from constructs_lib.kubernetes.addresses import check_host
from constructs_lib.options import check_declared
from constructs_lib.pods.environment import EnvVar, KeyRef, ValueFrom
from constructs_lib.storage.sources import StorageSource

FOLDER = "/backup"
"""Where the volume of a target is mounted."""

_BUCKET = re.compile(r"[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"([-\w.]+(/[-\w.]+)*)?", re.ASCII)
_REGION = re.compile(r"[-a-z0-9]+")
_PORTS = {"http": 80, "https": 443, "sftp": 22}


class BackupTarget(ABC):
    """A place for copies. Use one of its subclasses; a backup never asks which kind it is."""

    @abstractmethod
    def check(self) -> None:
        """Reject values that cannot work, with an `OptionError`."""

    @abstractmethod
    def repository(self, name: str) -> str:
        """The repository of an instance, as restic calls it.

        Args:
            name: of the instance.
        """

    @property
    def source(self) -> StorageSource | None:
        """Where the volume comes from that is mounted; None for none."""
        return None

    @property
    def env(self) -> Sequence[EnvVar]:
        """Environment variables of restic."""
        return ()

    @property
    def flags(self) -> Sequence[str]:
        """Options of every command of restic."""
        return ()

    @property
    def certificate(self) -> KeyRef | None:
        """The certificate to trust; None for those of the image."""
        return None

    @property
    def port(self) -> int | None:
        """TCP port that the copies go to; None where the node does it, or where it is not known."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupVolume(BackupTarget):
    """A volume besides the one that the runs are on: a folder of an NFS export, or a claim."""

    volume: StorageSource
    """Where it comes from. Each instance has a folder of its name on it."""

    def check(self) -> None:
        check_declared(self)
        self.volume.check()

    def repository(self, name: str) -> str:
        return f"{FOLDER}/{name}"

    @property
    def source(self) -> StorageSource:
        return self.volume


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Bucket(BackupTarget):
    """A bucket of Amazon S3, or of anything that speaks its protocol."""

    endpoint: str
    """URL of the service, such as https://s3.eu-central-1.amazonaws.com."""
    bucket: str
    """Name of the bucket."""
    prefix: str = ""
    """Folder in the bucket, below which each instance has one of its name. Default: none."""
    region: str | None = None
    """Region of the bucket. Default: us-east-1, which most other services take."""
    path_style: bool = False
    """Write the bucket's name into the path, not into the host name: for services without DNS. Default: false."""
    access_key: KeyRef
    """Key of a Secret that has the access key id."""
    secret_key: KeyRef
    """Key of a Secret that has the secret access key."""
    ca: KeyRef | None = None
    """Key of a Secret that has the certificate of the service's authority, in PEM. Default: the image's authorities."""

    def check(self) -> None:
        with below("s3"):
            check_declared(self)
            _check_url("endpoint", self.endpoint, ("https", "http"), "https://s3.eu-central-1.amazonaws.com")
            require(urlsplit(self.endpoint).path in ("", "/"), "endpoint", self.endpoint, "leave the path out")
            remedy = "write the name of a bucket: 3 to 63 lower-case letters, digits, '-' and '.'"
            require(_BUCKET.fullmatch(self.bucket), "bucket", self.bucket, remedy)
            remedy = "write folders such as backups/aim, of letters, digits, '-', '_' and '.'"
            safe = _PREFIX.fullmatch(self.prefix) and ".." not in self.prefix.split("/")
            require(safe, "prefix", self.prefix, remedy)
            named = self.region is None or _REGION.fullmatch(self.region)
            require(named, "region", self.region, "write a region such as eu-central-1")
            for name in ("access_key", "secret_key", "ca"):
                with below(name):
                    if getattr(self, name):
                        getattr(self, name).check()

    def repository(self, name: str) -> str:
        folder = "/".join(part for part in (self.bucket, self.prefix, name) if part)
        return f"s3:{self.endpoint.rstrip('/')}/{folder}"

    @property
    def env(self) -> Sequence[EnvVar]:
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        region = [EnvVar(name="AWS_DEFAULT_REGION", value=self.region)] if self.region else []
        return [*(from_secret(name, key) for name, key in keys.items()), *region]

    @property
    def flags(self) -> Sequence[str]:
        return ["-o", "s3.bucket-lookup=path"] if self.path_style else []

    @property
    def certificate(self) -> KeyRef | None:
        return self.ca

    @property
    def port(self) -> int | None:
        return _port_of(self.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResticRepository(BackupTarget):
    """Any repository of restic's: rest:https://..., azure:..., gs:..., b2:..., swift:..., sftp:...

    What it needs besides its URL are variables of `env`, whose values come from a Secret. The folders in it are as the
    URL says: two instances with one URL share a repository, and find their own copies in it.
    """

    url: str
    """URL as for restic's option `--repo`, without user and password."""
    ca: KeyRef | None = None
    """Key of a Secret that has the certificate of the service's authority, in PEM. Default: the image's authorities."""

    def check(self) -> None:
        with below("repository"):
            check_declared(self)
            check_text("url", self.url)
            known = re.match(r"(rest|s3|azure|gs|b2|swift|sftp|rclone):\S+$", self.url)
            require(
                known,
                "url",
                self.url,
                "write restic's name of a repository, such as rest:https://backup.example.com/aim",
            )
            remedy = (
                "leave user and password out: write RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD in env, from a Secret"
            )
            require(not re.search(r"://[^/]*@", self.url) or self.url.startswith("sftp:"), "url", "(hidden)", remedy)
            with below("ca"):
                if self.ca:
                    self.ca.check()

    def repository(self, name: str) -> str:  # noqa: ARG002
        return self.url

    @property
    def certificate(self) -> KeyRef | None:
        return self.ca

    @property
    def port(self) -> int | None:
        kind, _, rest = self.url.partition(":")
        return {"rclone": None, "sftp": _PORTS["sftp"]}.get(kind, _port_of(rest) if "://" in rest else 443)


def from_secret(name: str, key: KeyRef) -> EnvVar:
    """Make a variable whose value is in a Secret."""
    return EnvVar(name=name, value_from=ValueFrom(secret_key_ref=key))


def _check_url(option: str, value: str, schemes: Sequence[str], example: str) -> None:
    remedy = f"write a URL such as {example}, without user and password"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = parts.scheme in schemes and parts.hostname and "@" not in parts.netloc
    shown = "(hidden)" if "@" in value else value
    require(plain and not (parts.query or parts.fragment) and port != 0, option, shown, remedy)
    check_host(option, str(parts.hostname))


def _port_of(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme)
