"""Signing in and out."""

from __future__ import annotations

from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from fleet.services import sign_in


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """Name and password, for people who were given one; context: form, next."""

    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


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
