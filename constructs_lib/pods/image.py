"""The image that containers with Aim in them run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from constructs_lib.errors import require_type
from constructs_lib.kubernetes.images import check_image
from constructs_lib.kubernetes.names import check_object_name
from constructs_lib.options import check_declared

DEFAULT_IMAGE = "docker.io/aimstack/aim:3.29.1"
"""The last image that Aim's makers published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """An image with Aim in it, and how it is pulled."""

    image: str = DEFAULT_IMAGE
    """An image with Aim 3.29, and `python3` on its PATH. Default: docker.io/aimstack/aim:3.29.1."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the node pulls the image: Always, IfNotPresent or Never. Default: IfNotPresent."""
    image_pull_secrets: Sequence[str] = ()
    """Names of Secrets in the namespace, for a private registry. Default: none."""

    def check(self) -> None:
        """Reject names that no registry and no Secret can have.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        check_image("image", self.image)
        for secret in self.image_pull_secrets:
            check_object_name("image_pull_secrets", secret)


def check_image_options(image: ImageOptions) -> None:
    """Reject a name alone, and options that cannot work."""
    require_type("image", image, ImageOptions, 'write ImageOptions(image="...")')
    image.check()


DEFAULT_IMAGE_OPTIONS = ImageOptions()
