"""The login in front of a server: oauth2-proxy, as a container of its pod.

Everything is on its command line, but for secrets, which are mounted as files. What is not said there is as
oauth2-proxy 7.15 has it; the tests run the real one. Source of the options:
https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

import cdk8s
from constructs import Construct

from constructs_lib.access.hosts import TRACKING_ROUTES
from constructs_lib.access.login_options import LoginOptions, OidcOptions
from constructs_lib.access.sign_in import SIGN_IN_PAGE
from constructs_lib.plus import kplus
from constructs_lib.pods.environment import KeyRef
from constructs_lib.pods.image import ImageOptions
from constructs_lib.pods.pod import AimPod
from constructs_lib.pods.probes import page_probes

LOGIN_PORT = 4180
"""Port of the login in the pod, for people and for tracking."""

LOGIN_USER = 65532
"""User of the login's container, and of its image. Not Aim's: processes of one user read each other's files by /proc
where a pod shares its processes, as with tracking."""

FILES = "/etc/aim-login"
"""Where what the login reads is mounted: a folder each, as a file that is mounted alone is never updated."""


class Login(Construct):
    """The login of a server. Nothing is answered to who is not logged in: there is no list of exceptions.

    Attributes:
        container: the container, once it is in a pod.
        prefix: path of its own pages, such as `/oauth2`.
    """

    container: kplus.Container
    prefix: str

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        options: LoginOptions,
        name: str,
        base_path: str,
        metadata: cdk8s.ApiObjectMetadata,
    ) -> None:
        """Make what the login reads and is no secret; before the Deployment, as kubectl applies in order.

        Args:
            scope: the server.
            id: of this construct.
            options: checked already.
            name: of the instance; its cookies are told by it from those of others on the same host name.
            base_path: of the server; the login's own pages and its cookies are below it.
            metadata: of the ConfigMap, with its name: see `login_config_map_name`.
        """
        super().__init__(scope, id)
        self.options, self.prefix = options, f"{base_path}/oauth2"
        self._name, self._base_path = name, base_path
        self._hosts: set[str] = set()
        self._folders: dict[str, kplus.Volume] = dict(self._secrets())
        data = login_files(options)
        if data:
            config_map = kplus.ConfigMap(self, "ConfigMap", metadata=metadata, data=data, immutable=True)
            self._folders["files"] = kplus.Volume.from_config_map(self, "Files", config_map, name="login-files")

    def add_to(self, pod: AimPod, *, image: ImageOptions, upstream: int, own_user: bool) -> kplus.Container:
        """Add the container to a pod; returns it, and it is `container` from now on.

        Args:
            pod: with Aim in it.
            image: the login's, pulled as Aim's is.
            upstream: port of Aim on the pod's loopback.
            own_user: whether the pod says as which users it runs.
        """
        self._pod = pod
        user = kplus.ContainerSecurityContextProps(user=LOGIN_USER, group=LOGIN_USER) if own_user else None
        self.container = pod.add_container(
            name="login",
            image=image,
            args=[
                *self._arguments(),
                f"--upstream=http://127.0.0.1:{upstream}/",
                f"--api-route=^{re.escape(self._base_path)}/api/",
            ],
            ports=[kplus.ContainerPort(name="http", number=LOGIN_PORT)],
            probes=page_probes("/ping", LOGIN_PORT),
            resources=self.options.resources.with_scratch(),
            security_context=user,
        )
        for folder, volume in self._folders.items():
            self.container.mount(f"{FILES}/{folder}", volume, read_only=True)
        return self.container

    def add_tracking(self, upstream: int, base_path: str) -> None:
        """Let machines record through the login, by the paths of Aim's client.

        Args:
            upstream: port of the tracking server on the pod's loopback.
            base_path: of the tracking server.
        """
        for route in TRACKING_ROUTES:
            self._add_argument(f"--upstream=http://127.0.0.1:{upstream}{base_path}/{route}/")
        # answered with 401, and not with a page to log in
        self._add_argument(f"--api-route=^{re.escape(base_path)}/({'|'.join(TRACKING_ROUTES)})/")

    def add_host(self, host: str, *, tls: bool) -> None:
        """Bring people who log in back to a host name; of several, to the one that they came by.

        Args:
            host: that people open.
            tls: whether it is reached by https.
        """
        scheme = "https" if tls else "http"
        hosts = {*self._hosts, host}
        if not self._hosts:
            self._add_argument(f"--redirect-url={scheme}://{host}{self.prefix}/callback")
        if len(hosts) == 2 and len(self._hosts) == 1:
            self._add_argument("--redirect-url=")  # the last one counts
        self._hosts = hosts

    def _add_argument(self, argument: str) -> None:
        self._pod.set(self.container, {"args/-": argument})

    def _secrets(self) -> Iterator[tuple[str, kplus.Volume]]:
        options = self.options
        yield "cookie-secret", self._secret("cookie-secret", options.cookie_secret)
        if options.passwords:
            yield "htpasswd", self._secret("htpasswd", options.passwords)
        if options.oidc:
            yield "client-secret", self._secret("client-secret", options.oidc.client_secret)
        if options.oidc and options.oidc.ca:
            reference = options.oidc.ca
            config_map = kplus.ConfigMap.from_config_map_name(self, "Authority", reference.name)
            items = {reference.key: kplus.PathMapping(path="ca.pem")}
            yield "ca", kplus.Volume.from_config_map(self, "ca", config_map, name="login-ca", items=items)

    def _secret(self, what: str, reference: KeyRef) -> kplus.Volume:
        secret = kplus.Secret.from_secret_name(self, f"{what}-secret", reference.name)
        items = {reference.key: kplus.PathMapping(path=what)}
        return kplus.Volume.from_secret(self, what, secret, name=f"login-{what}", items=items)

    def _arguments(self) -> Iterator[str]:
        options = self.options
        yield f"--http-address=:{LOGIN_PORT}"
        yield f"--proxy-prefix={self.prefix}"
        yield from self._cookies()
        yield from (_provider(options.oidc) if options.oidc else _no_provider())
        if options.passwords:
            yield f"--htpasswd-file={FILES}/htpasswd/htpasswd"
            # who comes with a token is authenticated by each request, and so there would be a line for each
            yield "--auth-logging=false"
        if options.passwords and options.oidc and options.oidc.groups:
            # or the tokens of machines, which are in no group, would be refused
            yield f"--htpasswd-user-group={_csv(options.oidc.groups[0])}"
        if options.trusted_proxies:
            yield "--reverse-proxy=true"
            yield from (f"--trusted-proxy-ip={network}" for network in options.trusted_proxies)
        yield from _BEHAVIOUR

    def _cookies(self) -> Iterator[str]:
        options = self.options
        yield f"--cookie-name=_aim_{self._name}"
        yield f"--cookie-path={self._base_path or '/'}"
        yield f"--cookie-secret-file={FILES}/cookie-secret/cookie-secret"
        yield f"--cookie-expire={options.cookie_lifetime_seconds}s"
        yield f"--cookie-secure={str(not options.allow_plain_http).lower()}"
        yield "--cookie-samesite=lax"


_BEHAVIOUR = (
    # what is not logged in by a cookie comes with credentials of its own, which are not Aim's to see: with this, the
    # header is replaced by one that holds the user's name and this word
    "--pass-basic-auth=true",
    "--basic-auth-password=none",
    # from the first byte of a request to the first of its answer: searches take minutes
    "--upstream-timeout=1h",
    # streams of searches come as they are found
    "--flush-interval=100ms",
    # the log would have what people search for, and a line for each point that is recorded
    "--request-logging=false",
    "--footer=-",
)


def _provider(oidc: OidcOptions) -> Iterator[str]:
    yield "--provider=oidc"
    yield f"--oidc-issuer-url={oidc.issuer}"
    yield f"--client-id={oidc.client_id}"
    yield f"--client-secret-file={FILES}/client-secret/client-secret"
    yield f"--scope={' '.join(oidc.scopes)}"
    yield "--code-challenge-method=S256"
    yield "--insecure-oidc-skip-nonce=false"
    yield "--skip-provider-button=true"
    if oidc.endpoints:
        yield "--skip-oidc-discovery=true"
        yield f"--login-url={oidc.endpoints.authorization}"
        yield f"--redeem-url={oidc.endpoints.token}"
        yield f"--oidc-jwks-url={oidc.endpoints.keys}"
        if oidc.endpoints.user_info:
            yield f"--profile-url={oidc.endpoints.user_info}"
    if oidc.ca:
        yield f"--provider-ca-file={FILES}/ca/ca.pem"
    yield from _users(oidc)


def _users(oidc: OidcOptions) -> Iterator[str]:
    yield from (f"--email-domain={domain}" for domain in oidc.email_domains)
    if oidc.emails:
        yield f"--authenticated-emails-file={FILES}/files/emails"
    if not oidc.email_domains and not oidc.emails:
        yield "--email-domain=*"
    yield from (f"--allowed-group={_csv(group)}" for group in oidc.groups)


def _no_provider() -> Iterator[str]:
    """A provider is demanded; `.invalid` is a name that nobody can have (RFC 2606)."""
    nowhere = "https://provider.invalid"
    yield "--provider=oidc"
    yield f"--oidc-issuer-url={nowhere}"
    yield "--skip-oidc-discovery=true"
    yield f"--login-url={nowhere}"
    yield f"--redeem-url={nowhere}"
    yield f"--oidc-jwks-url={nowhere}"
    yield "--client-id=none"
    yield "--client-secret=none"
    yield f"--custom-templates-dir={FILES}/files"


def _csv(value: str) -> str:
    """One value for an option that takes several, separated by commas: `cn=ml,dc=example` is one group."""
    return '"' + value.replace('"', '""') + '"' if {",", '"'} & set(value) else value


def login_files(options: LoginOptions) -> Mapping[str, str]:
    """What the login reads and is no secret, by name."""
    files = {}
    if options.oidc and options.oidc.emails:
        files["emails"] = "".join(f"{email}\n" for email in options.oidc.emails)
    if not options.oidc:
        files["sign_in.html"] = SIGN_IN_PAGE
    return files


def login_config_map_name(name: str, options: LoginOptions) -> str:
    """Name of the ConfigMap: another content has another name, so that a pod restarts with it."""
    content = json.dumps(login_files(options), sort_keys=True)
    return f"{name}-login-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
