"""Single sign-on in a real browser, against a real OpenID provider: in by a group, out at both ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browser.conftest import running
from tests.oidc_provider import Provider, provider


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as started:
        yield started


def sign_in(page: Page, url: str, subject: str) -> None:
    page.goto(f"{url}/nodes/")
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.locator("input[name=sub]").fill(subject)
    page.get_by_role("button", name="Authorize").click()


def test_a_member_of_a_group_signs_in_and_out_at_both_ends(browser: Browser, idp: Provider, tmp_path: Path) -> None:
    idp.put("mia", groups=["gpu-operators"])
    idp.put("eve", groups=["other"])
    settings = {"OIDC_ISSUER": idp.url, "OIDC_CLIENT_ID": "muster", "OIDC_CLIENT_SECRET": "shared", "OIDC_NAME": "Example ID"}
    with running(tmp_path, **settings, OIDC_OPERATOR_GROUPS="gpu-operators") as muster:
        context = browser.new_context()
        complaints: list[str] = []

        def console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"} and str(message.location["url"]).startswith(muster.url):
                complaints.append(message.text)  # the provider's own pages load from elsewhere

        context.on("console", console)
        page = context.new_page()
        sign_in(page, muster.url, "mia")
        expect(page).to_have_url(f"{muster.url}/nodes/")  # where they were going
        expect(page.locator(".who__name")).to_have_text("mia")
        expect(page.locator(".who__role")).to_have_text("Operator")
        page.get_by_role("link", name="mia Operator").click()
        expect(page.get_by_text("by groups of the identity provider")).to_be_visible()
        assert complaints == []

        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{idp.url}/oauth2/end_session*")
        page.get_by_role("button").first.click()
        page.wait_for_url(f"{muster.url}/sign-in/")
        page.goto(f"{muster.url}/nodes/")
        expect(page.get_by_role("link", name="Sign in with Example ID")).to_be_visible()
        context.close()

        stranger = browser.new_context().new_page()
        sign_in(stranger, muster.url, "eve")
        expect(stranger.get_by_role("heading", name="No access")).to_be_visible()
        stranger.goto(f"{muster.url}/nodes/")
        expect(stranger.get_by_role("link", name="Sign in with Example ID")).to_be_visible()
