"""Signing in and out."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from fleet.services import audit_sign_ins, sessions, sign_in, sign_in_tries, sso_sessions
from fleet.services.sso_provider import UnreachableProviderError, sign_out_url
from fleet.web.middleware.request_ids import address_of


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """Name and password, for people with a password; context: form, next, provider (name of single sign-on, or empty)."""

    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """429 after too many tries, whatever the password: context also wait (seconds)."""
        name, address, now = request.POST.get("username", ""), address_of(request), timezone.now()
        if wait := sign_in_tries.take(name, address, now):
            audit_sign_ins.record_locked(name, address)
            # A form without what was sent: one that is bound would try the password when it is drawn.
            form = self.get_form_class()(request, initial={"username": name[:150]})
            answer = self.render_to_response(self.get_context_data(form=form, wait=_rounded(wait)), status=429)
            answer["Retry-After"] = str(wait)
            return answer
        form = self.get_form()
        if not form.is_valid():
            return self.form_invalid(form)
        sign_in_tries.give_back(name, address, now)
        return self.form_valid(form)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Signs in, or leads to the second factor where the account has one."""
        user = form.get_user()
        record_authentication(self.request, user, method="password", username=user.get_username())
        answer: HttpResponse = perform_login(self.request, user, redirect_url=self.get_success_url())
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "provider": settings.OIDC.name if settings.OIDC else ""}


def _rounded(seconds: int) -> int:
    """Rounds up to whole minutes, so that waiting for the shown time is enough."""
    return seconds if seconds < 60 else -(-seconds // 60) * 60


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """GET shows a button; its POST signs in once by a link of `manage.py run` or of an administrator.

    A chat's preview of the link, which only reads, must not use it up. Context of the refusal: link_refused.
    """
    if request.method != "POST":
        return render(request, "accounts/sign_in_link.html")
    user = sign_in.redeem_link(secret, timezone.now())
    if user is None:
        if request.user.is_authenticated:
            return redirect("fleet")
        answer = render(request, "accounts/sign_in.html", {"link_refused": True}, status=410)
        answer._has_been_logged = True  # type: ignore[attr-defined]  # Django would log the path, and the secret in it
        return answer
    if request.user.is_authenticated:
        _end(request)
    record_authentication(request, user, method="link")
    # A user without a password needs one, or the next sign-in takes another link.
    target = "fleet" if user.has_usable_password() or user.username == sign_in.OWNER else "password"
    done: HttpResponse = perform_login(request, user, redirect_url=reverse(target))
    return done


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session, and at the identity provider too where it came from there. Context: url, provider."""
    tokens = sso_sessions.tokens_of(request.session.session_key or "") if settings.OIDC else None
    _end(request)
    if tokens is None:
        return redirect("sign-in")
    try:
        url = sign_out_url(tokens, request.build_absolute_uri(reverse("sign-in")))
    except UnreachableProviderError:
        url = ""
    if not url:
        return redirect("sign-in")
    # A page that leads on, not a redirect: the Content-Security-Policy lets a form end on this host only.
    return render(request, "accounts/signed_out.html", {"url": url, "provider": settings.OIDC.name if settings.OIDC else ""})


def _end(request: HttpRequest) -> None:
    sessions.forget(request.session.session_key or "")
    logout(request)
