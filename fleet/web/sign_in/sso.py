"""Single sign-on: to the identity provider, back from it, and use of its answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from allauth.account.signals import user_logged_in
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from fleet.services import accounts, audit_sign_ins, sso, sso_sessions
from fleet.services.sso_provider import Tokens, UnreachableProviderError, endpoints, provider

log = logging.getLogger(__name__)


class _Provider(OpenIDConnectOAuth2Adapter):
    """The provider that the settings name; its discovery document is checked and kept."""

    @property
    def openid_config(self) -> Mapping[str, Any]:
        try:
            return endpoints()
        except UnreachableProviderError as error:
            raise OAuth2Error(str(error)) from error

    def get_callback_url(self, request: HttpRequest, app: object) -> str:
        return request.build_absolute_uri(reverse("sso-callback"))

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        login = super().complete_login(request, app, token, **kwargs)
        data = login.account.extra_data
        subject = str(data.get("id_token", {}).get("sub", ""))
        # OpenID Connect Core 5.3.2: the answer of the userinfo endpoint counts only for the person of the ID token.
        if not subject or str(data.get("userinfo", {}).get("sub", "")) != subject:
            raise OAuth2Error("The ID token is missing, or userinfo is another person's.")
        answer = kwargs["response"]
        request.sso_tokens = Tokens(  # type: ignore[attr-defined]  # for the session that is about to begin
            subject, str(answer["id_token"]), token.token, token.token_secret or ""
        )
        return login


class SsoAdapter(DefaultSocialAccountAdapter):
    """Creates users at their first sign-in, and applies groups at each."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        result = super().get_provider(request, provider, client_id)
        result.oauth2_adapter_class = _Provider
        return result

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        claims = _claims(sociallogin)
        if sociallogin.is_existing:
            allowed = sso.apply_claims(sociallogin.user, claims, timezone.now())
            sociallogin.user.refresh_from_db()
        else:
            allowed = bool(sso.role_in(claims))
        if not allowed:
            name = str(claims.get("preferred_username") or claims.get("sub") or "")
            audit_sign_ins.record_refused(name, "single sign-on", "No group gives access, or the account is disabled")
            raise ImmediateHttpResponse(_refused(request, "no_access", 403))

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: Mapping[str, Any]) -> Any:
        user = super().populate_user(request, sociallogin, data)
        # A name in use is never shared: a name chosen at the provider must not take over an account.
        user.username = accounts.free_username(str(data.get("username") or data.get("email") or "user"))
        return user

    def save_user(self, request: HttpRequest, sociallogin: Any, form: object = None) -> Any:
        user = super().save_user(request, sociallogin, form)
        sso.apply_claims(user, _claims(sociallogin), timezone.now())
        user.refresh_from_db()
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: object, error: Any = None, exception: Exception | None = None, **_: Any
    ) -> None:
        if exception is not None:
            log.warning("Single sign-on failed: %s", exception)
            audit_sign_ins.record_refused("", "single sign-on", str(exception)[:500])
        raise ImmediateHttpResponse(_refused(request, "cancelled" if str(error) == "cancelled" else "failed", 401))


@login_not_required
@never_cache
@require_safe
def begin(request: HttpRequest) -> HttpResponse:
    """Leads to the identity provider."""
    _demand_provider()
    try:
        answer: HttpResponse = OAuth2LoginView.adapter_view(_Provider(request, provider().provider_id))(request)
    except OAuth2Error as error:
        log.warning("Single sign-on failed: %s", error)
        return _refused(request, "failed", 503)
    return answer


@login_not_required
@never_cache
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Where the identity provider leads back to."""
    _demand_provider()
    answer: HttpResponse = OAuth2CallbackView.adapter_view(_Provider(request, provider().provider_id))(request)
    return answer


@receiver(user_logged_in)
def remember_tokens(request: HttpRequest, **_: Any) -> None:
    """Keeps the provider's tokens with the new session, so that it can ask again and sign out there."""
    tokens = getattr(request, "sso_tokens", None)
    if tokens is not None and request.session.session_key:
        request.session["sso_checked_at"] = timezone.now().timestamp()
        sso_sessions.remember(request.session.session_key, tokens, timezone.now())


def _claims(sociallogin: Any) -> dict[str, Any]:
    data = sociallogin.account.extra_data
    return {**data.get("id_token", {}), **data.get("userinfo", {})}


def _demand_provider() -> None:
    if settings.OIDC is None:
        raise Http404


def _refused(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    return render(request, "accounts/sso_refused.html", {"reason": reason, "provider": provider().name}, status=status)
