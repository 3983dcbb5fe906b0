"""A real OpenID provider in a process of its own: oidc-provider-mock, behind a guard that demands PKCE as a strict provider does.

with provider() as idp:
    idp.put("mia", groups=["muster-operators"])
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3


@dataclass
class Provider:
    """The provider as tests drive it."""

    url: str
    process: subprocess.Popen[bytes]

    def put(self, subject: str, **claims: Any) -> None:
        """States what the provider says of a person from now on."""
        body = json.dumps({"preferred_username": subject, "email": f"{subject}@example.com", **claims})
        answer = urllib3.request("PUT", f"{self.url}/users/{subject}", body=body, headers={"Content-Type": "application/json"})
        assert answer.status == 204, answer.data

    def revoke(self, subject: str) -> None:
        """Ends everything the provider has given out for a person."""
        assert urllib3.request("POST", f"{self.url}/users/{subject}/revoke-tokens").status == 204

    def consent(self, authorize_url: str, subject: str) -> str:
        """Signs `subject` in at the provider, and returns where it leads back to."""
        answer = urllib3.request(
            "POST",
            authorize_url,
            body=urllib.parse.urlencode({"sub": subject}),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            redirect=False,
        )
        assert answer.status in (302, 303), answer.data
        return str(answer.headers["Location"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def provider() -> Iterator[Provider]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.oidc_provider", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    result = Provider(f"http://127.0.0.1:{port}", process)
    try:
        for _ in range(300):
            try:
                urllib3.request("GET", f"{result.url}/jwks", timeout=1, retries=False)
                break
            except urllib3.exceptions.HTTPError:
                assert process.poll() is None, "the provider did not start"
                time.sleep(0.1)
        yield result
    finally:
        if process.poll() is None:
            result.stop()


class DemandsPkce:
    """WSGI: refuses an authorization without an S256 challenge, and a code whose verifier does not meet it (RFC 7636)."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._challenges: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
        path = environ["PATH_INFO"]
        if path == "/oauth2/authorize":
            if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
                return self._refuse(start, "invalid_request")

            def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                location = dict(headers).get("Location", "")
                sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
                if "code" in sent:
                    self._challenges[sent["code"]] = query["code_challenge"]
                return start(status, headers, *rest)

            return self._app(environ, started)
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            form = dict(urllib.parse.parse_qsl(body.decode()))
            if form.get("grant_type") == "authorization_code":
                digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
                if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != self._challenges.get(form.get("code", "")):
                    return self._refuse(start, "invalid_grant")
        return self._app(environ, start)

    @staticmethod
    def _refuse(start: Callable[..., Any], error: str) -> Iterable[bytes]:
        start("400 Bad Request", [("Content-Type", "application/json")])
        return [json.dumps({"error": error}).encode()]


def main() -> None:
    import oidc_provider_mock
    from werkzeug.serving import make_server

    app = oidc_provider_mock.app()
    make_server("127.0.0.1", int(sys.argv[1]), DemandsPkce(app), threaded=True).serve_forever()


if __name__ == "__main__":
    main()
