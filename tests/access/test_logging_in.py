"""People and machines come in by the login, and nobody else does: real browser, provider, proxy, Aim and client."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from constructs_lib import OidcEndpoints
from tests.access.conftest import (
    BASE_PATH,
    PASSWORD,
    PASSWORDS,
    PROVIDER,
    SECRETS,
    TOKEN,
    TRACKING_PATH,
    Site,
    htpasswd,
    manifests_of,
    provided,
)
from tests.harness.login_pod import Login, basic, echoing, logging_in
from tests.harness.sandbox import Pod, wait_for, written
from tests.supervisor.chromium import visit

pytestmark = pytest.mark.pod

URL = f"http://aim.example.com{BASE_PATH}"
API = f"{BASE_PATH}/api/runs/active/"
COOKIE = "_aim_aim"


@contextmanager
def tab(browser: Browser) -> Iterator[Page]:
    """A new session's page."""
    with visit(browser, web=False) as visited:
        yield visited.tab()


def status(page: Page, path: str = API) -> int:
    """What the API answers to the page."""
    found: int = page.evaluate("path => fetch(path).then(answer => answer.status)", path)
    return found


def log_in(page: Page, user: str, url: str = URL) -> None:
    """Ask for the runs, and be somebody at the provider's page to which that leads."""
    page.goto(f"{url}/runs")
    expect(page).to_have_url(re.compile(r"^http://127\.0\.0\.1:9400/oauth2/authorize"))
    page.get_by_placeholder("sub").fill(user)
    page.get_by_role("button", name="Authorize", exact=True).click()


def cookie_of(site: Site, port: int = PASSWORDS, password: str = PASSWORD) -> str:
    """The cookie of ann, who logs in with her password."""
    form = urllib.parse.urlencode({"username": "ann", "password": password, "rd": f"{BASE_PATH}/"})
    kind = "application/x-www-form-urlencoded"
    answer = site.ask.get(port, f"{BASE_PATH}/oauth2/sign_in", method="POST", body=form, content_type=kind)
    found = re.search(rf"(?i)set-cookie: {COOKIE}=([^;]+)", answer.headers)
    return found[1] if found else ""


@pytest.mark.usefixtures("provider_login")
def test_people_log_in_by_the_provider(browser: Browser) -> None:
    """They see the runs, on the host name that they came by; and when they have logged out, nothing."""
    with tab(browser) as page:
        log_in(page, "ann@example.com")
        expect(page).to_have_url(f"{URL}/runs")
        page.get_by_text("run 2").first.wait_for(timeout=60_000)
        assert status(page) == 200
        page.goto(f"{URL}/oauth2/sign_out?rd=/ping")
        assert status(page) == 401
        page.goto(f"{URL}/runs")
        expect(page).to_have_url(re.compile(r"^http://127\.0\.0\.1:9400/"))


@pytest.mark.usefixtures("provider_login")
@pytest.mark.parametrize("user", ["eve@example.org", "eve@evilexample.com", "eve@example.com.example.org", "eve"])
def test_people_of_another_domain_do_not_get_in(browser: Browser, user: str) -> None:
    """The provider knows them, and the login says no."""
    with tab(browser) as page:
        log_in(page, user)
        expect(page.locator("body")).to_contain_text(re.compile("403|500"))
        assert "run 2" not in page.inner_text("body")
        assert status(page) == 401


@pytest.mark.usefixtures("provider_login")
@pytest.mark.parametrize(
    ("options", "allowed", "refused"),
    [
        ({"groups": ["cn=ml,dc=example"]}, "max", "sue"),
        ({"emails": ["sue@example.com", "Ann@Example.com"]}, "ann@example.com", "max"),
    ],
    ids=["groups", "emails"],
)
def test_people_are_told_by_groups_and_addresses(
    site: Site, browser: Browser, options: dict[str, list[str]], allowed: str, refused: str
) -> None:
    """One of a group that has a comma in its name; one whose address is on a list. Machines come in all the same."""
    manifests = manifests_of(provided(**options))
    mounted, url = site.mounted(next(iter(options)), manifests), f"http://aim.example.com:84{BASE_PATH}"
    replace = [(f"--redirect-url={URL}", f"--redirect-url={url}")]
    with logging_in(site.pod, manifests, mounted, port=84, replace=replace):
        for user, expected in ((refused, 401), (allowed, 200)):
            with tab(browser) as page:
                log_in(page, user, url)
                page.wait_for_url(f"{url}/**")
                assert status(page) == expected
        assert site.ask.get(84, API, authorization=basic("ci", TOKEN)).status == 200


@pytest.mark.usefixtures("password_login")
def test_people_log_in_by_password(browser: Browser) -> None:
    """The page offers no provider, says what is wrong, and leads to where they wanted to go."""
    with tab(browser) as page:
        page.goto(f"http://aim.example.com:{PASSWORDS}{BASE_PATH}/runs")
        assert "Google" not in page.content()
        for password in ("wrong", PASSWORD):
            page.get_by_label("User").fill("ann")
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Log in").click()
            if password == "wrong":
                expect(page.get_by_role("alert")).to_have_text("User or password is wrong.")
                assert status(page) == 401
        page.get_by_text("run 2").first.wait_for(timeout=60_000)
        assert status(page) == 200


def test_a_cookie_counts_as_it_was_given(site: Site, password_login: Login) -> None:
    """One that is changed anywhere, or is of another name, is none."""
    given = cookie_of(site, password_login.port)
    assert site.ask.get(PASSWORDS, API, cookie=f"{COOKIE}={given}").status == 200
    value, time, signature = given.split("|")
    later = str(int(time) + 3600)
    forged = [
        given[:-2] + ("AA" if given[-2:] != "AA" else "BB"),
        f"{value[:-4]}AAAA|{time}|{signature}",
        f"{value}|{later}|{signature}",
        f"{value}|{time}|",
        "",
        "|||",
    ]
    assert [site.ask.get(PASSWORDS, API, cookie=f"{COOKIE}={each}").status for each in forged] == [401] * len(forged)
    assert site.ask.get(PASSWORDS, API, cookie=f"{COOKIE}_other={given}").status == 401


@pytest.mark.parametrize(
    ("replace", "secret", "expected"),
    [
        ((), SECRETS["cookie-secret"], 200),
        ((), SECRETS["cookie-secret"][::-1], 401),
        ((("--cookie-expire=43200s", "--cookie-expire=1s"),), SECRETS["cookie-secret"], 401),
    ],
    ids=["the same", "another secret", "expired"],
)
def test_a_cookie_lasts_as_long_as_it_may(
    site: Site, password_login: Login, replace: tuple[tuple[str, str], ...], secret: str, expected: int
) -> None:
    """It survives a restart of the login; but neither another secret, nor its lifetime."""
    given = cookie_of(site, password_login.port)
    mounted = site.mounted(f"again-{len(replace)}-{secret}", site.by_password)
    mounted.update("cookie-secret", {"cookie-secret": secret})
    with logging_in(site.pod, site.by_password, mounted, port=82, replace=replace) as again:

        def answered() -> bool:
            return site.ask.get(again.port, API, cookie=f"{COOKIE}={given}").status == expected

        wait_for(answered, seconds=30, still=site.pod)


def test_a_changed_file_of_passwords_counts_without_a_restart(site: Site) -> None:
    """As the kubelet changes it, at once: the old password is none any more."""
    mounted = site.mounted("rotated", site.by_password)
    with logging_in(site.pod, site.by_password, mounted, port=82) as login:
        assert cookie_of(site, login.port)
        mounted.update("htpasswd", {"htpasswd": htpasswd(ann="another")})
        wait_for(lambda: cookie_of(site, login.port, "another"), seconds=60, still=site.pod)
        assert not cookie_of(site, login.port, PASSWORD)
        assert site.ask.get(login.port, API, authorization=basic("ci", TOKEN)).status == 401


def test_aim_sees_no_credentials(site: Site) -> None:
    """What it is told of a user instead is no secret, and nothing that a user says of another one."""
    upstream = ("--upstream=http://127.0.0.1:43800/", "--upstream=http://127.0.0.1:9999/")
    mounted = site.mounted("echo", site.by_password)
    with echoing(site.pod, 9999), logging_in(site.pod, site.by_password, mounted, port=82, replace=[upstream]) as login:
        forged = {"x_forwarded_user": "root", "x_forwarded_email": "root@example.com"}
        body = site.ask.get(login.port, f"{BASE_PATH}/x", authorization=basic("ci", TOKEN), **forged).body
    assert "Host: aim.example.com" in body
    assert f"Authorization: {basic('ci', 'none')}" in body
    assert TOKEN not in body
    assert "root" not in body


@pytest.mark.usefixtures("provider_login")
def test_who_is_logged_in_reaches_aim_by_its_own_names_only(site: Site) -> None:
    """A page that gives a name of its own this address (DNS rebinding) gets nothing, credentials or not."""
    token = basic("ci", TOKEN)
    assert site.ask.get(PROVIDER, API, authorization=token).status == 200
    assert site.ask.get(PROVIDER, API, authorization=token, host="rebound.example").status == 421
    foreign = {"origin": "http://evil.example", "sec_fetch_site": "cross-site"}
    assert site.ask.get(PROVIDER, API, authorization=token, **foreign).status == 403


def recorder(site: Site, credentials: str, *options: object, port: int = PROVIDER) -> subprocess.Popen[str]:
    """Start to record through a login."""
    return site.pod.client("write", *options, repository=f"aim://{credentials}127.0.0.1:{port}{TRACKING_PATH}")


def counted(pod: Pod) -> dict[str, int]:
    """How many points the server has of each run."""
    output, _ = pod.client("count").communicate(timeout=60)
    return dict(json.loads(output))


@pytest.mark.usefixtures("provider_login")
def test_a_machine_records_with_its_token(site: Site) -> None:
    """Over HTTP and WebSocket, through the same port as people."""
    runs = written(recorder(site, f"ci:{TOKEN}@", "--points", 50))
    assert list(runs.values()) == [50]
    (name,) = runs
    wait_for(lambda: name in counted(site.pod), seconds=60, still=site.pod)


@pytest.mark.usefixtures("provider_login")
@pytest.mark.parametrize("credentials", ["", "ci:wrong@", "nobody:5f9c3e1d7b2a48c6@"])
def test_a_machine_without_a_token_records_nothing(site: Site, credentials: str) -> None:
    """It ends with an error, and the server has no run more."""
    before = site.ask.get(PROVIDER, f"{BASE_PATH}/api/projects/activity/", authorization=basic("ci", TOKEN)).body
    writer = recorder(site, credentials)
    writer.communicate(timeout=120)
    assert writer.returncode != 0
    after = site.ask.get(PROVIDER, f"{BASE_PATH}/api/projects/activity/", authorization=basic("ci", TOKEN)).body
    assert after == before


def test_a_machine_goes_on_when_the_login_is_killed(site: Site) -> None:
    """Every point arrives, as with a tracking server that is killed."""
    mounted = site.mounted("killed", site.by_password)
    before = counted(site.pod)

    def recorded() -> list[int]:
        return [number for name, number in counted(site.pod).items() if name not in before]

    with logging_in(site.pod, site.by_password, mounted, port=83):
        writer = recorder(site, f"ci:{TOKEN}@", "--points", 100, "--pause", 0.1, port=83)
        wait_for(lambda: sum(recorded()) > 5, seconds=60, still=site.pod)
    with logging_in(site.pod, site.by_password, mounted, port=83):
        assert list(written(writer).values()) == [100]
        wait_for(lambda: recorded() == [100], seconds=60, still=site.pod)


def test_a_provider_that_is_down_does_not_keep_the_pod_from_starting(site: Site) -> None:
    """Where its endpoints are named: tokens of machines count meanwhile. Without, the login ends and says why."""
    url = "http://127.0.0.1:9401"
    endpoints = OidcEndpoints(authorization=f"{url}/authorize", token=f"{url}/token", keys=f"{url}/jwks")
    down = [("http://127.0.0.1:9400", url)]
    named = manifests_of(provided(endpoints=endpoints))
    with logging_in(site.pod, named, site.mounted("named", named), port=85, replace=down):
        assert site.ask.get(85, API, authorization=basic("ci", TOKEN)).status == 200
        assert site.ask.get(85, API).status == 401
    asked = site.by_provider
    with (
        pytest.raises(AssertionError, match=r"127.0.0.1:9401/\.well-known/openid-configuration.*connection refused"),
        logging_in(site.pod, asked, site.mounted("asked", asked), port=85, replace=down),
    ):
        pass


def test_a_login_that_cannot_start_says_why(site: Site) -> None:
    """As docs/how-to/access.md has it: a cookie's secret of another length, and a file without entries."""
    for name, text, message in (
        ("cookie-secret", "short", "cookie_secret from file must be 16, 24, or 32 bytes"),
        ("htpasswd", "", "could not load htpasswd file"),
    ):
        mounted = site.mounted(f"broken-{name}", site.by_password)
        mounted.update(name, {name: text})
        with (
            pytest.raises(AssertionError, match=message),
            logging_in(site.pod, site.by_password, mounted, port=85),
        ):
            pass
