"""The kubectl plugin against a server that answers as it likes: sentences, exit codes, bounds, and where the token goes."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "kubectl" / "kubectl-muster"
TOKEN = "muster-token-0123456789"
Answer = tuple[int, Any, dict[str, str]]


def load() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("kubectl_muster", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


plugin = load()


class _Handler(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, Answer]] = {}
    asked: ClassVar[list[tuple[str, str, dict[str, Any]]]] = []

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _reply(self, body: dict[str, Any]) -> None:
        path = self.path.partition("?")[0].removeprefix("/api/v1/")
        self.asked.append((self.path, self.headers.get("Authorization", ""), body))
        status, value, headers = self.answers.get(path, (404, {"detail": "Not found."}, {}))
        written = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[str]:
    _Handler.answers, _Handler.asked = answers, []
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("MUSTER_TOKEN", TOKEN)
    monkeypatch.delenv("MUSTER_TOKEN_FILE", raising=False)

    def ask(answers: dict[str, Answer], *arguments: str) -> tuple[int, str, str]:
        with serving(answers) as url:
            monkeypatch.setenv("MUSTER_URL", url)
            code = plugin.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return ask


def explained(**more: Any) -> dict[str, Answer]:
    reasons = [{"nodes": 3, "text": "Cordoned.", "opens": None}]
    return {"explain/": (200, {"fits": False, "headline": "Fits nowhere now.", "reasons": reasons, **more}, {})}


@pytest.mark.parametrize(("fits", "code"), [(True, 0), (False, 1), (None, 2)])
def test_the_first_line_is_the_answer_and_the_exit_code_says_it(run: Any, tmp_path: Path, fits: bool | None, code: int) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("kind: Pod\n")
    got, out, _ = run(explained(fits=fits), "explain", "-f", str(manifest), "--cluster", "east")
    assert (got, out.splitlines()[0]) == (code, "Fits nowhere now.")
    assert _Handler.asked == [("/api/v1/explain/", f"Bearer {TOKEN}", {"cluster": "east", "manifest": "kind: Pod\n"})]


def test_a_pod_and_a_class_are_asked_by_name_with_queue_and_scheduler(run: Any) -> None:
    more = {"queue": {"text": "3rd of 5."}, "scheduler": {"message": "0/3 nodes", "agrees": True}}
    _, out, _ = run(explained(**more), "explain", "east/team/pod")
    assert "Queue: 3rd of 5." in out
    assert "Scheduler (Muster agrees): 0/3 nodes" in out
    assert _Handler.asked[0][2] == {"pod": "east/team/pod"}
    run(explained(), "explain", "--class", "full", "--replicas", "2")
    assert _Handler.asked[0][2] == {"workload_class": "full", "replicas": 2}


def node(name: str, verdict: str = "ready", **more: Any) -> dict[str, Any]:
    return {"cluster": "east", "name": name, "verdict": verdict, "slots": {"free": 4}, "verdict_reason": "Reason.", **more}


def test_nodes_that_are_not_ready_are_first(run: Any) -> None:
    rows = [node("a"), node("b", "not_ready", broken_rung="cuda_works"), node("c", slots={"free": None})]
    code, out, _ = run({"nodes/": (200, {"results": rows, "next": None}, {})}, "nodes", "--verdict", "ready,not_ready")
    assert code == 1
    assert out.splitlines()[0] == "3 GPU nodes: 1 not ready, 2 ready."
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["b", "a", "c"]
    assert "unknown" in out.splitlines()[4], "free slots that are unknown are not 0"
    assert "verdict=ready%2Cnot_ready" in _Handler.asked[0][0]


def test_why_a_node_is_not_ready(run: Any) -> None:
    rung = {"id": "cuda_works", "number": 4, "title": "CUDA works", "evidence": [{"source": "pod", "key": "p", "value": "v"}]}
    broken = node("b", "not_ready", broken_rung="cuda_works", rungs=[rung], verdict_remedy="Restart it.", findings=[])
    code, out, _ = run({"nodes/east/b/": (200, broken, {})}, "why", "east/b")
    assert (code, out.splitlines()[0]) == (1, "Not ready at rung 4, CUDA works: Reason.")
    assert "To do: Restart it." in out
    listed = {"nodes/": (200, {"results": [node("b"), node("bb")], "next": None}, {})}
    assert run(listed, "why", "b")[0] == 0
    twice = {"nodes/": (200, {"results": [node("b"), node("b", cluster="west")], "next": None}, {})}
    code, _, error = run(twice, "why", "b")
    assert (code, "east/b, west/b" in error) == (3, True)
    assert "east/bb" in run({"nodes/": (200, {"results": [node("bb")], "next": None}, {})}, "why", "b")[2]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"title": "Unauthorized"}, {}), "token is not valid"),
        ((400, {"detail": "manifest: Line 3: not valid YAML.", "title": "Bad"}, {}), "manifest: Line 3: not valid YAML."),
        ((500, b"<html>", {}), "answered 500"),
        ((200, b"<html>hello", {}), "not JSON"),
        ((200, b"[1]", {}), "not a JSON object"),
    ],
)
def test_what_goes_wrong_is_one_clean_line(run: Any, answer: Answer, says: str) -> None:
    code, out, error = run({"explain/": answer}, "explain", "a/b/c")
    assert (code, out) == (3, "")
    assert says in error
    assert error.count("\n") == 1
    assert TOKEN not in error


def test_the_token_does_not_follow_a_redirect(run: Any) -> None:
    code, _, error = run({"explain/": (302, b"", {"Location": "http://127.0.0.1:9/elsewhere"})}, "explain", "a/b/c")
    assert (code, "redirects to" in error, len(_Handler.asked)) == (3, True, 1)


def test_a_next_page_at_another_address_is_refused(run: Any) -> None:
    page = {"results": [node("a")], "next": "http://127.0.0.1:9/api/v1/nodes/?cursor=x"}
    code, _, error = run({"nodes/": (200, page, {})}, "nodes")
    assert (code, "another address" in error) == (3, True)


def test_the_token_is_not_sent_over_http_to_another_machine(run: Any) -> None:
    code, _, error = run({}, "--url", "http://muster.example.com", "nodes")
    assert (code, "--plain-http" in error, _Handler.asked) == (3, True, [])


def test_an_answer_without_end_is_cut(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "LARGEST_ANSWER", 100)
    assert "larger" in run({"explain/": (200, b" " * 1_000, {})}, "explain", "a/b/c")[2]


def test_a_terminal_obeys_nothing_in_an_answer(run: Any) -> None:
    _, out, _ = run(explained(headline="a\x1b]0;title\x07b\u202ec"), "explain", "a/b/c")
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_a_token_comes_from_a_file(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MUSTER_TOKEN")
    (tmp_path / "token").write_text("from-a-file-123\n")
    monkeypatch.setenv("MUSTER_TOKEN_FILE", str(tmp_path / "token"))
    run(explained(), "explain", "a/b/c")
    assert _Handler.asked[0][1] == "Bearer from-a-file-123"
    monkeypatch.setenv("MUSTER_TOKEN_FILE", str(tmp_path / "none"))
    assert "No token" in run(explained(), "explain", "a/b/c")[2]


def test_usage_errors_are_code_3_and_help_is_0(run: Any) -> None:
    assert run({}, "frobnicate")[0] == 3
    assert run({}, "explain")[0] == 3
    assert run({}, "--help")[0] == 0


def test_it_needs_nothing_but_the_standard_library() -> None:
    source = SCRIPT.read_text()
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)
    assert SCRIPT.stat().st_mode & 0o111, "kubectl runs only executable plugins"
