"""Signing in and out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from fleet.services import sign_in, sign_in_tries


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """Name and password, for people who were given one; context: form, next."""

    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """429 after too many tries, whatever the password: context also wait (seconds)."""
        name, address, now = request.POST.get("username", ""), address_of(request), timezone.now()
        if wait := sign_in_tries.take(name, address, now):
            # A form without what was sent: one that is bound would try the password when it is drawn.
            form = self.get_form_class()(request, initial={"username": name[:150]})
            answer = self.render_to_response(self.get_context_data(form=form, wait=_rounded(wait)), status=429)
            answer["Retry-After"] = str(wait)
            return answer
        answer = super().post(request, *args, **kwargs)
        if request.user.is_authenticated:
            sign_in_tries.give_back(name, address, now)
        return answer


def address_of(request: HttpRequest) -> str:
    """Whence a request comes: the word of the proxy where one is declared to stand in front, else the other end of the socket."""
    told = request.headers.get("X-Forwarded-For", "").rsplit(",", 1)[-1].strip() if settings.BEHIND_TLS else ""
    return told or request.META.get("REMOTE_ADDR", "")


def _rounded(seconds: int) -> int:
    """Up to whole minutes, as the page tells them: whoever waits so long is let try."""
    return seconds if seconds < 60 else -(-seconds // 60) * 60


@login_not_required
@never_cache
@require_GET
def sign_in_by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Signs in once by the link that `manage.py run` printed; context of the refusal: link_refused."""
    user = sign_in.redeem_link(secret, timezone.now())
    if user is None:
        if request.user.is_authenticated:
            return redirect("fleet")
        return render(request, "accounts/sign_in.html", {"link_refused": True}, status=410)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("fleet")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")
