"""Names of container images.

Source: https://pkg.go.dev/github.com/distribution/reference
"""

from __future__ import annotations

import re

from constructs_lib.errors import require

_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[1-9]\d{0,4})?"
_DIGEST = r"@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})"
_IMAGE = re.compile(rf"({_DOMAIN}/)?{_PART}(/{_PART})*(:\w[\w.-]{{0,127}})?({_DIGEST})?", re.ASCII)


def check_image(option: str, image: str) -> None:
    """Reject a text that no container runtime takes for the name of an image."""
    remedy = "write [registry/]repository[:tag][@digest], such as docker.io/aimstack/aim:3.29.1"
    require(isinstance(image, str) and len(image) <= 255 and _IMAGE.fullmatch(image), option, image, remedy)
