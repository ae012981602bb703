"""The shortest logins to build a test on."""

from __future__ import annotations

from typing import Any

from constructs_lib import KeyRef, LoginOptions, OidcOptions

CLIENT_SECRET = KeyRef(name="aim-login", key="client-secret")
COOKIE_SECRET = KeyRef(name="aim-login", key="cookie-secret")
USERS = KeyRef(name="aim-users", key="htpasswd")


def oidc(**options: Any) -> OidcOptions:
    """A provider that lets in one e-mail domain, unless the options say otherwise."""
    users = (
        {}
        if {"emails", "groups", "everybody", "email_domains"} & options.keys()
        else {"email_domains": ["example.com"]}
    )
    defaults = {"issuer": "https://login.example.com/realms/ml", "client_id": "aim", "client_secret": CLIENT_SECRET}
    return OidcOptions(**{**defaults, **users, **options})


def by_provider(**options: Any) -> LoginOptions:
    """A login by a provider."""
    return LoginOptions(**{"oidc": oidc(), "cookie_secret": COOKIE_SECRET, **options})


def by_password(**options: Any) -> LoginOptions:
    """A login by passwords."""
    return LoginOptions(**{"passwords": USERS, "cookie_secret": COOKIE_SECRET, **options})
