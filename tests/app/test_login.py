"""`make login`: what it prints, and what `make synth` says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
import yaml

from tests.app.test_main import ROOT, run

TEAM = """namespace: ml
storage: {size: 1Ti, dynamic: {}}
server:
  login:
    oidc:
      issuer: https://login.example.com
      clientId: aim
      clientSecret: {name: provider, key: secret}
      everybody: true
      ca: {name: authority, key: ca.crt}
    passwords: {name: users, key: htpasswd}
    cookieSecret: {name: login, key: cookie}
  ingress: {host: aim.example.com, tlsSecret: certificate}
  route: {hostnames: [aim.example.net], parents: [{name: gateway}]}
"""


def printed(**environment: str) -> subprocess.CompletedProcess[str]:
    """What the program prints."""
    return run(sys.executable, "-m", "app.login", cwd=ROOT, **environment)


def test_the_secrets_of_people_and_machines() -> None:
    """People get passwords that cost to guess, machines long tokens that are cheap to check; each is shown once."""
    done = printed(USERS="ann, ben", TOKENS="Train", NAMESPACE="ml", SECRET="users")
    login, machine = yaml.safe_load_all(done.stdout)
    assert (login["metadata"], machine["metadata"]) == (
        {"name": "users", "namespace": "ml"},
        {"name": "users-train", "namespace": "ml"},
    )
    entries = dict(line.split(":") for line in login["stringData"]["htpasswd"].splitlines())
    shown = dict(line.split(": ") for line in done.stderr.splitlines())
    user, token = machine["stringData"]["credentials"].split(":")
    assert (user, len(token)) == ("Train", 64)
    assert [entry[:7] for entry in entries.values()] == ["$2b$10$", "$2b$10$", "$2b$04$"]
    for name, password in {**shown, "Train": token}.items():
        assert bcrypt.checkpw(password.encode(), entries[name].encode())
    assert not set(shown.values()) & set(done.stdout.split())


def test_entries_that_are_there_are_kept() -> None:
    """But for those of the users that are made anew."""
    done = printed(USERS="ann", HTPASSWD="ann:old\nben:kept\n")
    (login,) = yaml.safe_load_all(done.stdout)
    ben, ann = login["stringData"]["htpasswd"].splitlines()
    assert (ben, ann[:4]) == ("ben:kept", "ann:")
    assert ann != "ann:old"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "USERS: '': write make login USERS="),
        ({"USERS": "a:b"}, "USERS: 'a:b': write letters"),
        ({"TOKENS": "a", "NAMESPACE": "A"}, "NAMESPACE: 'A': write at most 63"),
        ({"TOKENS": "a_b"}, "SECRET: 'aim-users-a_b': write"),
    ],
)
def test_what_cannot_work_is_refused(environment: dict[str, str], message: str) -> None:
    """With one line, and nothing on standard output."""
    done = printed(**environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_synthesis_says_what_must_exist(tmp_path: Path) -> None:
    """URLs, what the provider has to know, and each Secret with the command that makes it."""
    (tmp_path / "a.yaml").write_text(TEAM, encoding="utf-8")
    outdir = str(tmp_path / "dist")
    done = run(sys.executable, ROOT / "main.py", cwd=tmp_path, INSTANCES="a.yaml", CDK8S_OUTDIR=outdir)
    callbacks = "https://aim.example.com/oauth2/callback and https://aim.example.net/oauth2/callback"
    assert [line.removeprefix("a.yaml: ") for line in done.stderr.splitlines()] == [
        "people open https://aim.example.com/",
        "people open https://aim.example.net/",
        "the network rules admit no proxy of server.ingress: name its pods in server.ingress.from",
        "the network rules admit no proxy of server.route: name its pods in server.route.from",
        f"the provider has to know {callbacks} for aim",
        'needs: kubectl -n ml create secret generic login --from-literal=cookie="$(openssl rand -hex 16)"',
        "needs: kubectl -n ml create secret generic provider --from-literal=secret='<from the provider>'",
        'needs: make login USERS="..." TOKENS="..." NAMESPACE=ml SECRET=users | kubectl apply -f -',
        "needs: kubectl -n ml create configmap authority --from-file=ca.crt=ca.pem",
        "needs the certificate: kubectl -n ml create secret tls certificate --cert=tls.crt --key=tls.key",
    ]
