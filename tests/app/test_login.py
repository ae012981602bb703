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
    *shown_lines, warning = done.stderr.splitlines()
    assert warning.startswith("nobody else is in this Secret; to keep who is, set HTPASSWD")
    shown = dict(line.split(": ") for line in shown_lines)
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


def test_who_is_removed_is_gone_and_nobody_else() -> None:
    """Whose name begins alike stays."""
    done = printed(REMOVE="ben", HTPASSWD="ben:old\nbenny:kept\n")
    (login,) = yaml.safe_load_all(done.stdout)
    assert login["stringData"]["htpasswd"] == "benny:kept\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "USERS: '': write make login USERS="),
        ({"USERS": "a", "HTPASSWD": ""}, "HTPASSWD: '': the Secret that it was read from has no entries"),
        ({"REMOVE": "ben", "HTPASSWD": "ann:a"}, "REMOVE: 'ben': set HTPASSWD to the entries"),
        ({"REMOVE": "ben"}, "REMOVE: 'ben': set HTPASSWD to the entries"),
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
        "needs: kubectl -n ml create secret tls certificate --cert=tls.crt --key=tls.key",
    ]


BACKUP = """namespace: ml
storage: {size: 1Ti, dynamic: {}}
backup:
  s3:
    endpoint: https://s3.example.com
    bucket: backups
    accessKey: {name: s3, key: id}
    secretKey: {name: s3, key: key}
  password: {name: copies, key: password}
"""


def test_synthesis_says_which_secrets_a_backup_needs(tmp_path: Path) -> None:
    """One command for each, though a Secret may have several keys."""
    (tmp_path / "a.yaml").write_text(BACKUP, encoding="utf-8")
    done = run(sys.executable, ROOT / "main.py", cwd=tmp_path, INSTANCES="a.yaml", CDK8S_OUTDIR=str(tmp_path / "dist"))
    keys = "--from-literal=id='<access key id>' --from-literal=key='<secret access key>'"
    assert [line.removeprefix("a.yaml: ") for line in done.stderr.splitlines()] == [
        "needs: kubectl -n ml create secret generic copies --from-file=password=password",
        f"needs: kubectl -n ml create secret generic s3 {keys}",
    ]


PASSWORDS = """namespace: ml
createNamespace: true
storage: {size: 1Ti, dynamic: {}}
server:
  login:
    passwords: {name: users, key: htpasswd}
    cookieSecret: {name: login, key: cookie}
  service: {type: NodePort}
  tracking: {}
"""


def test_synthesis_says_how_to_reach_a_login_without_an_ingress(tmp_path: Path) -> None:
    """Over plain HTTP the right password leads to the login page again; Secrets need the namespace first."""
    (tmp_path / "a.yaml").write_text(PASSWORDS, encoding="utf-8")
    done = run(sys.executable, ROOT / "main.py", cwd=tmp_path, INSTANCES="a.yaml", CDK8S_OUTDIR=str(tmp_path / "dist"))
    said = done.stderr
    assert "machines record to aim://<user>:<token>@a.ml.svc:53800\n" in said
    assert (
        "browsers keep this login over https only: end TLS in front of Service a, or write server.login.allow" in said
    )
    assert said.count("needs, once the apply has made the namespace: ") == 2
