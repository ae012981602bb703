"""The variable that tells a training container where to record."""

from __future__ import annotations

from constructs_lib.errors import require
from constructs_lib.plus import kplus

VARIABLE = "AIM_REPO"
"""Names the repository to a container: `aim.Run(repo=os.environ["AIM_REPO"])`. Aim itself reads no variable."""


def check_unset(container: kplus.Container) -> None:
    """Reject a container that has the variable already."""
    taken = container.env.variables.get(VARIABLE)
    value = taken and (taken.value or "from elsewhere")
    remedy = f"leave {VARIABLE} out, and attach or connect a container once: it records into one repository"
    require(taken is None, f"containers[{container.name}].env[{VARIABLE}]", value, remedy)


def set_repository(container: kplus.Container, repository: str) -> None:
    """Tell a container where to record: a folder, or the URL of a tracking server."""
    check_unset(container)
    container.env.add_variable(VARIABLE, kplus.EnvValue.from_value(repository))
