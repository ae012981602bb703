"""Prints the Secrets of a login with passwords: `make login USERS="ann ben" TOKENS=train REMOVE=cleo NAMESPACE=aim`.

Manifests go to standard output, for `kubectl apply -f -`, and the passwords of people to standard error. Nothing is
written to a file: a Secret in a repository is none.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence

import bcrypt
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from app.errors import reporting
from constructs_lib.errors import require
from constructs_lib.kubernetes.names import check_namespace, check_object_name

PEOPLE_COST = 10
"""Of bcrypt, for a password that a person keeps: 60 ms each, once a login, as they get a cookie for it."""

TOKEN_COST = 4
"""Of bcrypt, for a token of 256 random bits, which nobody guesses; it is checked with each request of a machine, and
cost 10 would allow 17 requests a second."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


def entry(user: str, password: str, cost: int) -> str:
    """One line of an htpasswd file."""
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()}"


def kept(htpasswd: str, users: Iterable[str]) -> list[str]:
    """Lines of a file that are of none of the users."""
    return [line for line in htpasswd.splitlines() if line and line.partition(":")[0] not in set(users)]


def manifests(
    *, secret: str, namespace: str, people: Mapping[str, str], tokens: Mapping[str, str], htpasswd: str = ""
) -> list[dict[str, object]]:
    """The Secret of the login, and one for each machine, with what `server.connect(credentials=...)` takes.

    Args:
        secret: name of the login's.
        namespace: of the server; a machine's Secret belongs to that of its workload.
        people: passwords by user.
        tokens: tokens by user.
        htpasswd: entries so far; those of the same users are replaced.
    """
    lines = kept(htpasswd, [*people, *tokens])
    lines += [entry(user, password, PEOPLE_COST) for user, password in people.items()]
    lines += [entry(user, token, TOKEN_COST) for user, token in tokens.items()]
    file = LiteralScalarString("".join(f"{line}\n" for line in lines))
    machines = [
        _secret(f"{secret}-{user.lower()}", namespace, {"credentials": f"{user}:{token}"})
        for user, token in tokens.items()
    ]
    return [_secret(secret, namespace, {"htpasswd": file}), *machines]


def _secret(name: str, namespace: str, data: Mapping[str, str]) -> dict[str, object]:
    check_object_name("SECRET", name)
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(data)}


def _names(variable: str) -> Sequence[str]:
    names = re.split(r"[\s,]+", os.environ.get(variable, "").strip())
    for name in filter(None, names):
        require(_NAME.fullmatch(name), variable, name, "write letters, digits, '.', '_', '@' and '-'")
    return [name for name in names if name]


def entries(removed: Sequence[str]) -> str:
    """Those of HTPASSWD that stay, of the Secret as it is."""
    htpasswd = os.environ.get("HTPASSWD")
    remedy = "the Secret that it was read from has no entries: look at its name; or leave HTPASSWD out, to begin anew"
    require(htpasswd is None or htpasswd.strip(), "HTPASSWD", htpasswd, remedy)
    there = {line.partition(":")[0] for line in (htpasswd or "").splitlines()}
    for name in removed:
        require(name in there, "REMOVE", name, "set HTPASSWD to the entries of the Secret, with one of that name")
    return "\n".join(kept(htpasswd or "", removed))


@reporting()
def main() -> int:
    """Obey the environment: USERS, TOKENS and REMOVE, NAMESPACE, SECRET, and HTPASSWD for the entries so far."""
    users, machines, removed = _names("USERS"), _names("TOKENS"), _names("REMOVE")
    require([*users, *machines, *removed], "USERS", "", 'write make login USERS="ann ben", TOKENS=train or REMOVE=cleo')
    htpasswd = entries(removed)
    namespace = os.environ.get("NAMESPACE") or "aim"
    check_namespace("NAMESPACE", namespace)
    people = {user: secrets.token_urlsafe(12) for user in users}
    made = manifests(
        secret=os.environ.get("SECRET") or "aim-users",
        namespace=namespace,
        people=people,
        tokens={machine: secrets.token_hex(32) for machine in machines},
        htpasswd=htpasswd,
    )
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 1000  # or long values are folded
    yaml.dump_all(made, text)
    print(text.getvalue(), end="")
    for user, password in people.items():
        print(f"{user}: {password}", file=sys.stderr)
    if "HTPASSWD" not in os.environ:
        print("nobody else is in this Secret; to keep who is, set HTPASSWD: docs/how-to/access.md", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
