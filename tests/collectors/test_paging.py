"""Lists page by page: whole, broken off, expired, odd objects, and answers that are no lists."""

from __future__ import annotations

import weakref
from typing import Any

import msgspec
import pytest

from fleet.collectors.errors import Asked, Failure
from fleet.collectors.nodes import NodeWire
from fleet.collectors.paging import Listing, PageDecoder, read_list
from fleet.collectors.session import Progress
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body
from tests.collectors.scripted import Server, session

ASKED = Asked(verb="list", resource="nodes")
PATH = "/api/v1/nodes"
DECODER = PageDecoder(NodeWire)
VIOLATED = Failure(Outcome.UNREACHABLE, "The server went away.")


def node(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}"}}


def nodes_page(names: str, continue_: str = "") -> dict[str, Any]:
    return {"kind": "NodeList", "metadata": {"continue": continue_}, "items": [node(name) for name in names]}


def names_of(wires: list[NodeWire]) -> list[str]:
    return [(wire.metadata.name or "") for wire in wires if wire.metadata]


def read(server: Server, **limits: Any) -> Listing[str]:
    return read_list(session(server, **limits), PATH, ASKED, DECODER, names_of)


def by_token(pages: dict[str, Any]) -> Server:
    return Server({PATH: lambda query, _: pages[query.get("continue", "")]})


def test_all_pages_in_order_and_never_a_resource_version() -> None:
    server = by_token({"": nodes_page("ab", "t1"), "t1": nodes_page("cd", "t2"), "t2": nodes_page("e")})
    listing = read(server)
    assert (listing.items, listing.count, listing.outcome) == (list("abcde"), 5, Outcome.COLLECTED)
    assert [query for _, query in server.asked] == [
        {"limit": "500"},
        {"limit": "500", "continue": "t1"},
        {"limit": "500", "continue": "t2"},
    ]


def test_the_recorded_pages() -> None:
    first = DECODER.decode(body("nodes_page_limit2"), ASKED)
    assert (len(first.items), bool(first.continue_), first.not_understood) == (2, True, 0)


@pytest.mark.parametrize("items", [None, []])
def test_an_empty_list_is_known_to_be_empty(items: Any) -> None:
    listing = read(Server({PATH: {"kind": "NodeList", "metadata": None, "items": items}}))
    assert (listing.items, listing.count, listing.outcome) == ([], 0, Outcome.COLLECTED)


@pytest.mark.parametrize("broken", [VIOLATED, 500, 403, b"<html>", {"kind": "NodeList"}])
def test_a_list_that_breaks_off_keeps_what_was_read(broken: Any) -> None:
    listing = read(by_token({"": nodes_page("ab", "t1"), "t1": broken}))
    assert (listing.items, listing.outcome) == (["a", "b"], Outcome.INCOMPLETE)
    assert "after 1 page (2 read)" in listing.reason


@pytest.mark.parametrize(
    ("broken", "outcome"),
    [(VIOLATED, Outcome.UNREACHABLE), (403, Outcome.FORBIDDEN), (b"<html>", Outcome.MALFORMED), (401, Outcome.UNAUTHORISED)],
)
def test_a_list_without_a_first_page_is_a_failure(broken: Any, outcome: Outcome) -> None:
    with pytest.raises(Failure) as caught:
        read(Server({PATH: broken}))
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    "not_a_list",
    [b"{}", b"[]", b"null", b'"x"', b'{"kind":"Status","items":[]}', b'{"kind":"NodeList"}', b'{"items":[]}', b"", b"{"],
)
def test_what_is_no_list_never_means_an_empty_cluster(not_a_list: bytes) -> None:
    with pytest.raises(Failure) as caught:
        read(Server({PATH: not_a_list}))
    assert caught.value.outcome is Outcome.MALFORMED


def test_an_expired_list_is_begun_again_once_and_counts_nothing_twice() -> None:
    expired = [410, nodes_page("cd")]
    server = Server({PATH: lambda query, _: expired.pop(0) if query.get("continue") else nodes_page("ab", "t1")})
    listing = read(server)
    assert (listing.items, listing.count, listing.outcome) == (list("abcd"), 4, Outcome.COLLECTED)
    assert len(server.asked) == 4


def test_a_list_that_expires_twice_keeps_what_was_read_and_stops() -> None:
    server = by_token({"": nodes_page("ab", "t1"), "t1": 410})
    listing = read(server)
    assert (listing.items, listing.count, listing.outcome) == (["a", "b"], 2, Outcome.EXPIRED)
    assert not listing.complete
    assert len(server.asked) == 4


def test_one_odd_object_costs_itself_not_its_page() -> None:
    page = nodes_page("abc")
    page["items"][1]["metadata"]["labels"] = 5
    listing = read(Server({PATH: page}))
    assert (listing.items, listing.count, listing.outcome) == (["a", "c"], 2, Outcome.INCOMPLETE)
    assert "1 of the nodes could not be understood" in listing.reason


def test_an_odd_object_on_an_early_page_is_not_forgotten() -> None:
    page = nodes_page("ab", "t1")
    page["items"][0]["spec"] = "x"
    assert read(by_token({"": page, "t1": nodes_page("c")})).outcome is Outcome.INCOMPLETE


def test_a_server_that_repeats_its_token_does_not_hold_the_run() -> None:
    server = Server({PATH: nodes_page("a", "same")})
    listing = read(server)
    assert listing.outcome is Outcome.INCOMPLETE
    assert len(server.asked) == 2


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    def answer(query: dict[str, str], _: Any) -> Any:
        return Failure(Outcome.TOO_LARGE, "large.") if int(query["limit"]) > 20 else nodes_page("a")

    server = Server({PATH: answer})
    assert read(server).items == ["a"]
    assert [query["limit"] for _, query in server.asked] == ["500", "100", "20"]


def test_a_page_that_stays_too_large_is_reported() -> None:
    with pytest.raises(Failure) as caught:
        read(Server({PATH: Failure(Outcome.TOO_LARGE, "large.")}))
    assert caught.value.outcome is Outcome.TOO_LARGE


class Item(msgspec.Struct, weakref=True, eq=False):
    metadata: Any = None


def test_memory_is_bounded_by_a_page() -> None:
    pages = {"": nodes_page("ab" * 50, "1"), "1": nodes_page("cd" * 50, "2"), "2": nodes_page("e" * 100)}
    living: weakref.WeakSet[Item] = weakref.WeakSet()
    alive_while_asked: list[int] = []

    def answer(query: dict[str, str], _: Any) -> Any:
        alive_while_asked.append(len(living))
        return pages[query.get("continue", "")]

    def keep(wires: list[Item]) -> list[str]:
        living.update(wires)
        return [str(len(wires))]

    listing = read_list(session(Server({PATH: answer})), PATH, ASKED, PageDecoder(Item), keep)
    assert listing.items == ["100", "100", "100"]
    assert alive_while_asked == [0, 0, 0], "a page was still held when the next was asked for"


def test_the_same_page_again_and_again_ends_the_list() -> None:
    tokens = iter(range(1, 1_000))
    listing = read(Server({PATH: lambda *_: nodes_page("ab", f"t{next(tokens)}")}))
    assert (listing.items, listing.outcome) == (["a", "b"], Outcome.INCOMPLETE)
    assert listing.reason.endswith("The server sends the same page again.")


def test_empty_pages_without_end_end_the_list() -> None:
    tokens = iter(range(1, 1_000))
    server = Server({PATH: lambda *_: nodes_page("", f"t{next(tokens)}")})
    listing = read(server)
    assert (len(server.asked), listing.outcome) == (20, Outcome.INCOMPLETE)
    assert "20 empty pages in a row" in listing.reason


def test_nineteen_empty_pages_are_read_through() -> None:
    tokens = iter(range(1, 1_000))
    pages = iter([*["" for _ in range(19)], "a"])
    listing = read(Server({PATH: lambda *_: nodes_page(names := next(pages), "" if names else f"t{next(tokens)}")}))
    assert (listing.items, listing.outcome) == (["a"], Outcome.COLLECTED)


def test_an_object_that_is_sent_twice_is_kept_once_and_named() -> None:
    listing = read(by_token({"": nodes_page("aab", "t1"), "t1": nodes_page("bc")}))
    assert (listing.items, listing.count, listing.outcome) == (["a", "b", "c"], 3, Outcome.COLLECTED)
    assert [problem.name for problem in listing.problems] == ["a", "b"]


def test_each_page_reports_how_far_the_list_is_and_how_long_it_may_be() -> None:
    first, second = nodes_page("abc", "t1"), nodes_page("de", "t2")
    first["metadata"]["remainingItemCount"], second["metadata"]["remainingItemCount"] = 4, 2
    server = by_token({"": first, "t1": second, "t2": nodes_page("fg")})
    seen: list[Progress] = []
    asking = session(server)
    asking.report = seen.append
    read_list(asking, PATH, ASKED, DECODER, names_of)
    assert seen == [Progress("nodes", 3, 7), Progress("nodes", 5, 7), Progress("nodes", 7, None)]


@pytest.mark.parametrize("stated", [-1, 1.5, "4", True, None, [4], {"a": 1}, 10**30])
def test_a_server_that_states_no_plausible_rest_costs_the_estimate_alone(stated: Any) -> None:
    page = nodes_page("abc", "t1")
    page["metadata"]["remainingItemCount"] = stated
    decoded = DECODER.decode(msgspec.json.encode(page), ASKED)
    assert (len(decoded.items), decoded.continue_, decoded.remaining) == (3, "t1", None)
