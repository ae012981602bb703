"""What can be said of the login in front of a server."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from annotated_types import Interval

from constructs_lib.access.peers import Destination
from constructs_lib.errors import below, check_text, require
from constructs_lib.kubernetes.addresses import check_cidr, is_host
from constructs_lib.kubernetes.images import check_image
from constructs_lib.options import check_declared, indexed
from constructs_lib.pods.environment import KeyRef
from constructs_lib.pods.resources import Resources

DEFAULT_LOGIN_IMAGE = "quay.io/oauth2-proxy/oauth2-proxy:v7.15.4"
"""The version whose options and behaviour the tests know."""

DEFAULT_LOGIN_RESOURCES = Resources(
    requests={"cpu": "50m", "memory": "32Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "1", "memory": "256Mi", "ephemeral-storage": "256Mi"},
)
"""It takes some 27 MiB; each message of tracking that is under way takes up to 8 MiB more."""

_EMAIL = re.compile(r"[^@\s,\"#]+@[^@\s,\"#]+")
_DOMAIN = re.compile(r"(\*\.)?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)+")
_WORD = re.compile(r"[!-~]+")
_GROUP = re.compile(r"[^\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcEndpoints:
    """Addresses of a provider. With them, the pod starts while the provider is down."""

    authorization: str
    """Where browsers are sent to log in: `authorization_endpoint` of the provider's discovery."""
    token: str
    """Where the pod redeems a code: `token_endpoint`."""
    keys: str
    """The provider's public keys: `jwks_uri`."""
    user_info: str | None = None
    """Where the pod asks for claims that are not in the token: `userinfo_endpoint`. Default: nowhere."""

    def check(self) -> None:
        """Reject what is no URL."""
        check_declared(self)
        for name in ("authorization", "token", "keys", "user_info"):
            if getattr(self, name) is not None:
                check_url(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcOptions:
    """Login by a provider of OpenID Connect. Write whom it lets in: emailDomains, emails, groups, or everybody."""

    issuer: str
    """URL of the provider, such as https://login.example.com/realms/ml."""
    client_id: str
    """What the provider knows this instance by; its redirect URL is `https://<host><basePath>/oauth2/callback`."""
    client_secret: KeyRef
    """Key of a Secret with what the provider gave out beside it."""
    email_domains: Sequence[str] = ()
    """Who may come in by the part of their e-mail address after the `@`: example.com, or `*.example.com`.
    Default: nobody by that."""
    emails: Sequence[str] = ()
    """Who may come in by their whole e-mail address, besides those of `emailDomains`. Default: nobody
    by that."""
    groups: Sequence[str] = ()
    """Groups of the provider of which a user must have one, whatever their e-mail address allows. Default: any."""
    everybody: bool = False
    """Let in whoever has an account of the provider, for one that is yours alone. Default: false."""
    scopes: Sequence[str] = ("openid", "email", "profile")
    """What the provider is asked for. Default: openid, email and profile; some providers tell groups for `groups`."""
    endpoints: OidcEndpoints | None = None
    """Addresses of the provider. Default: those that it tells at each start of the pod."""
    ca: KeyRef | None = None
    """Key of a ConfigMap with the certificates of an authority that signed the provider's. Default: the public ones."""
    allow_to: Sequence[Destination] = ()
    """How the pod reaches the provider, for the network rules; required for one inside of the cluster or of a private
    network. Default: any public address, on the port of its URLs."""

    def check(self) -> None:
        """Reject values that cannot work, and a login that lets in nobody, or more than it says."""
        check_declared(self)
        check_url("issuer", self.issuer)
        require(_WORD.fullmatch(self.client_id), "client_id", self.client_id, "write the id without spaces")
        with below("client_secret"):
            self.client_secret.check()
        self._check_users()
        for index, scope in enumerate(self.scopes):
            require(_WORD.fullmatch(scope), f"scopes[{index}]", scope, "write a word")
        require("openid" in self.scopes, "scopes", list(self.scopes), "write openid among them")
        if self.endpoints:
            with below("endpoints"):
                self.endpoints.check()
        if self.ca:
            with below("ca"):
                self.ca.check()
        self._check_reach()

    def _check_users(self) -> None:
        named = [*self.email_domains, *self.emails, *self.groups]
        remedy = "write email_domains, emails or groups; or everybody for all accounts of the provider"
        require(named or self.everybody, "email_domains", list(self.email_domains), remedy)
        remedy = "leave it out: those who may come in are named beside it"
        require(not (named and self.everybody), "everybody", self.everybody, remedy)
        for index, domain in enumerate(self.email_domains):
            remedy = "write a domain such as example.com; everybody is for all of them"
            require(_DOMAIN.fullmatch(domain), f"email_domains[{index}]", domain, remedy)
        for index, email in enumerate(self.emails):
            require(_EMAIL.fullmatch(email), f"emails[{index}]", email, "write an address such as ann@example.com")
        for index, group in enumerate(self.groups):
            check_text(f"groups[{index}]", group)
            require(_GROUP.fullmatch(group), f"groups[{index}]", group, "write the name of a group on one line")

    def _check_reach(self) -> None:
        for destination, where in indexed("allow_to", self.allow_to):
            with below(where):
                destination.check()
        inside = [url for url in self.urls if _is_inside(url)]
        remedy = f"write how the pod reaches {inside and inside[0].hostname}: namespace_selector or ip_block, and ports"
        require(self.allow_to or not inside, "allow_to", list(self.allow_to), remedy)

    @property
    def urls(self) -> list[SplitResult]:
        """Addresses that the pod itself asks."""
        endpoints = self.endpoints
        asked = [endpoints.token, endpoints.keys, endpoints.user_info] if endpoints else [self.issuer]
        return [urlsplit(url) for url in asked if url]

    @property
    def ports(self) -> list[int]:
        """Ports of the addresses that the pod itself asks."""
        return sorted({url.port or (443 if url.scheme == "https" else 80) for url in self.urls})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """A login in front of the server and of tracking. Write oidc, passwords, or both."""

    oidc: OidcOptions | None = None
    """People log in with a provider of OpenID Connect. Default: with passwords."""
    passwords: KeyRef | None = None
    """Key of a Secret that is an htpasswd file of bcrypt entries, or `{SHA}` ones for long random tokens: `make login`
    prints one. With `oidc`, its entries are the tokens of machines. A changed Secret counts within two minutes.
    Default: none; without `oidc`, it is required."""
    cookie_secret: KeyRef
    """Key of a Secret with 32 random hexadecimal digits, which sign the cookies of those who are logged in."""
    cookie_lifetime_seconds: Annotated[int, Interval(ge=60, le=31_536_000)] = 43_200
    """How long a login lasts; who may no longer come in, may until then. Default: 43200, twelve hours."""
    allow_plain_http: bool = False
    """Let browsers log in over plain HTTP, where everybody on the way reads passwords and cookies. Default: false."""
    trusted_proxies: Sequence[str] = ()
    """Networks of proxies in front whose `X-Forwarded-` headers count, in CIDR notation. Default: none."""
    image: str = DEFAULT_LOGIN_IMAGE
    """Any image whose entry point is oauth2-proxy 7. Default: quay.io/oauth2-proxy/oauth2-proxy:v7.15.4."""
    resources: Resources = DEFAULT_LOGIN_RESOURCES
    """Requests and limits of its container. Default: 32Mi to 256Mi of memory, 50m to 1 CPU, 64Mi to 256Mi of
    ephemeral-storage."""

    def check(self) -> None:
        """Reject values that cannot work.

        Raises:
            OptionError: names the option.
        """
        check_declared(self)
        given = self.oidc or self.passwords
        require(given, "oidc", None, "write oidc, or passwords, a key of a Secret; or both")
        if self.oidc:
            with below("oidc"):
                self.oidc.check()
        for name in ("passwords", "cookie_secret"):
            with below(name):
                if getattr(self, name):
                    getattr(self, name).check()
        for index, network in enumerate(self.trusted_proxies):
            check_cidr(f"trusted_proxies[{index}]", network)
        check_image("image", self.image)
        self.resources.check()


def check_url(option: str, url: str) -> None:
    """Reject what is no URL of a provider."""
    remedy = "write a URL such as https://login.example.com/realms/ml"
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and is_host(parts.hostname or "") and not parts.fragment
        fits = fits and parts.port != 0 and not parts.username and bool(_WORD.fullmatch(url))
    except ValueError:
        fits = False
    require(fits, option, url, remedy)


def _is_inside(url: SplitResult) -> bool:
    """Whether a host can be no public one: of the cluster, of one label, or an address of a private network."""
    host = url.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".svc", ".svc.cluster.local"))
