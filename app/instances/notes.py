"""What to know of an instance with a login, or that is exposed: its URLs, and what must exist before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.instances.model import Backup, Instance, Server
from constructs_lib import AimServer, KeyRef, LoginOptions


def notes(server: AimServer, instance: Instance) -> Iterator[str]:
    """Lines for the terminal: URLs, and each Secret with the command that makes it.

    Args:
        server: as it was made.
        instance: of the file.
    """
    options = instance.server
    needs = "needs, once the apply has made the namespace" if instance.create_namespace else "needs"
    for url in server.public_urls:
        yield f"people open {url}"
    yield from _closed(options)
    if options.service.exposed:
        yield f"people open the address of Service {server.service.metadata.name}, type {options.service.type}"
    if options.login:
        yield from _login_notes(server, options, options.login)
        yield from (f"{needs}: {command}" for command in _wanted(server, options.login))
    if options.ingress and options.ingress.tls_secret and not options.ingress.issuer:
        what = f"tls {options.ingress.tls_secret} --cert=tls.crt --key=tls.key"
        yield f"{needs}: {_create(server, 'secret', what)}"
    if instance.backup:
        wanted = _generic(_keys_of(instance.backup))
        yield from (f"{needs}: {_create(server, 'secret', f'generic {name} {keys}')}" for name, keys in wanted.items())


def _closed(options: Server) -> Iterator[str]:
    """Ways in that the network rules close, as they name no pods of the proxy."""
    proxies = {
        "ingress": options.ingress and options.ingress.proxies,
        "route": options.route and options.route.from_,
    }
    for way, admitted in proxies.items():
        if admitted is not None and not admitted and not options.allow_from:
            yield f"the network rules admit no proxy of server.{way}: name its pods in server.{way}.from"


def _login_notes(server: AimServer, options: Server, login: LoginOptions) -> Iterator[str]:
    if server.tracking:
        yield f"machines record to {server.tracking_url.replace('://', '://<user>:<token>@')}"
    if options.service.exposed and not login.allow_plain_http:
        ends = f"end TLS in front of Service {server.service.metadata.name}"
        remedy = "or write server.login.allowPlainHttp: true in a network that you trust"
        yield f"browsers keep this login over https only: {ends}, {remedy}"
    if login.oidc:
        urls = server.public_urls or ["https://<host name>/"]
        callbacks = (f"{url.removesuffix('/')}/oauth2/callback" for url in urls)
        yield f"the provider has to know {' and '.join(callbacks)} for {login.oidc.client_id}"


def _wanted(server: AimServer, login: LoginOptions) -> Iterator[str]:
    """Commands that make what must exist."""
    secrets = [(login.cookie_secret, '--from-literal={}="$(openssl rand -hex 16)"')]
    if login.oidc:
        secrets.append((login.oidc.client_secret, "--from-literal={}='<from the provider>'"))
    for name, keys in _generic(secrets).items():
        yield _create(server, "secret", f"generic {name} {keys}")
    if login.passwords:
        yield _passwords(server, login.passwords)
    if login.oidc and login.oidc.ca:
        ca = login.oidc.ca
        yield _create(server, "configmap", f"{ca.name} --from-file={ca.key}=ca.pem")


def _keys_of(backup: Backup) -> Iterator[tuple[KeyRef, str]]:
    """Keys that restic needs, each with the argument that makes it."""
    yield backup.password, "--from-file={}=password"
    bucket = backup.s3
    if bucket and bucket.access_key and bucket.secret_key:
        yield bucket.access_key, "--from-literal={}='<access key id>'"
        yield bucket.secret_key, "--from-literal={}='<secret access key>'"


def _generic(wanted: Iterable[tuple[KeyRef, str]]) -> dict[str, str]:
    """Arguments that make each Secret, of which some keys may be in one."""
    found: dict[str, str] = {}
    for reference, argument in wanted:
        found[reference.name] = f"{found.get(reference.name, '')} {argument.format(reference.key)}".strip()
    return found


def _passwords(server: AimServer, passwords: KeyRef) -> str:
    if passwords.key != "htpasswd":
        return _create(server, "secret", f"generic {passwords.name} --from-file={passwords.key}=htpasswd")
    namespace = f" NAMESPACE={server.storage.namespace}" if server.storage.namespace else ""
    return f'make login USERS="..." TOKENS="..."{namespace} SECRET={passwords.name} | kubectl apply -f -'


def _create(server: AimServer, kind: str, what: str) -> str:
    return f"kubectl -n {server.storage.namespace} create {kind} {what}"
