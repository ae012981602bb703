"""Mends Aim 3.29, from outside: Aim is no longer maintained, so each fault is closed here, once.

Every module of this package says what is wrong in Aim, its number upstream, and what is done instead. Nothing outside
of this package touches Aim's private parts.
"""

from __future__ import annotations

from .. import Refusal

_SUPPORTED = "3.29."


def check_version() -> None:
    """Refuse another Aim than 3.29: the patches replace private parts of that one.

    Raises:
        Refusal: the interpreter has another version of Aim.
    """
    from aim.__version__ import __version__

    if not __version__.startswith(_SUPPORTED):
        raise Refusal(f"this image has Aim {__version__}, and the supervisor patches Aim 3.29: use an image with that")
