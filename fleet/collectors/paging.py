"""Lists, page by page: each is decoded straight from bytes, handed on, and dropped before the next is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from fleet.collectors.errors import Asked, Failure, shorten
from fleet.collectors.kube import Params
from fleet.collectors.session import Progress, Session
from fleet.collectors.wire import ObjectMeta
from fleet.domain.snapshot.sections import ObjectProblem, Outcome

Wire = TypeVar("Wire")
Out = TypeVar("Out")

_SMALLEST_PAGE = 20
MOST_EMPTY_PAGES = 20
"""In a row: a server may filter a page down to nothing, but not without end."""

_MOST_PROBLEMS = 50
_MOST_REMAINING = 10_000_000


class _ListMeta(msgspec.Struct, rename={"continue_": "continue", "remaining": "remainingItemCount"}, gc=False):
    continue_: str | None = None
    remaining: Any = None


class _Page(msgspec.Struct, Generic[Wire]):
    kind: str | None = None
    metadata: _ListMeta | None = None
    items: list[Wire] | msgspec.UnsetType | None = msgspec.UNSET


class Decoded(msgspec.Struct, Generic[Wire]):
    """One page: what could be understood of it, the token for the next, and what was wrong with the rest."""

    items: list[Wire]
    continue_: str
    not_understood: int = 0
    problem: str = ""
    remaining: int | None = None
    """Objects on the pages to come, where the server states it: not for lists with a selector, and without a promise."""


_DEEPEST = 200
"""More than any kind's schema has. A decoder gives up a whole page at a thousand."""
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


def without_depths(body: bytes | bytearray) -> bytes:
    """Returns JSON in which what is nested more deeply than `_DEEPEST` is null.

    Who may create a ResourceClaim or a Workload may put 10,000 brackets into its free-form fields, and would hide all others.
    """
    parts: list[bytes] = []
    depth = kept = 0
    for token in _TOKENS.finditer(body):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == _DEEPEST + 1:
                parts += [bytes(body[kept : token.start()]), b"null"]
                kept = len(body)
        elif token[0] in (b"]", b"}"):
            if depth == _DEEPEST + 1:
                kept = token.end()
            depth -= 1
    return b"".join([*parts, bytes(body[kept:])])


class PageDecoder(Generic[Wire]):
    """Decodes pages of one kind. A malformed object is left out, counted and reported; its page is kept."""

    def __init__(self, item: type[Wire]) -> None:
        self._whole = msgspec.json.Decoder(_Page[item])  # type: ignore[valid-type]
        self._raw = msgspec.json.Decoder(_Page[msgspec.Raw])
        self._item = msgspec.json.Decoder(item)

    def decode(self, body: bytes | bytearray, asked: Asked) -> Decoded[Wire]:
        """Raises Failure (malformed) where the body is no list at all: `{}` must never mean an empty cluster."""
        try:
            return self._decode(body, asked)
        except RecursionError:
            return self._decode(without_depths(body), asked)

    def _decode(self, body: bytes | bytearray, asked: Asked) -> Decoded[Wire]:
        try:
            page: _Page[Wire] = self._whole.decode(body)
        except msgspec.ValidationError:
            return self._one_by_one(body, asked)
        except msgspec.MsgspecError as error:
            raise _malformed(asked, f"no JSON ({error})") from None
        return Decoded(_items(page, asked), _token(page), remaining=_remaining(page))

    def _one_by_one(self, body: bytes | bytearray, asked: Asked) -> Decoded[Wire]:
        try:
            page = self._raw.decode(body)
        except msgspec.MsgspecError as error:
            raise _malformed(asked, str(error)) from None
        items: list[Wire] = []
        problem, broken = "", 0
        for raw in _items(page, asked):
            try:
                items.append(self._item.decode(raw))
            except msgspec.MsgspecError as error:
                broken += 1
                problem = problem or shorten(str(error), 160)
        return Decoded(items, _token(page), broken, problem, _remaining(page))


def _items(page: _Page[Wire], asked: Asked) -> list[Wire]:
    if page.items is msgspec.UNSET or not (page.kind or "").endswith("List"):
        raise _malformed(asked, f"a {page.kind or 'JSON object'} and no list")
    return page.items or []


def _token(page: _Page[Wire]) -> str:
    return (page.metadata.continue_ if page.metadata else None) or ""


def _remaining(page: _Page[Wire]) -> int | None:
    """What a server states about the rest; anything but a plausible number is left out, as it only serves an estimate."""
    value = page.metadata.remaining if page.metadata else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_REMAINING else None


def _malformed(asked: Asked, what: str) -> Failure:
    return Failure(Outcome.MALFORMED, f"The answer to the request to {asked.words} is {shorten(what, 160)}.")


class Listing(msgspec.Struct, Generic[Out]):
    """Result of a list: everything kept, the number of objects read, and whether it is complete."""

    items: list[Out]
    count: int = 0
    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""
    problems: list[ObjectProblem] = []
    """Objects that were sent twice."""

    @property
    def complete(self) -> bool:
        return self.outcome is Outcome.COLLECTED


def read_list(  # noqa: PLR0913 the parts of a list request
    session: Session,
    path: str,
    asked: Asked,
    decoder: PageDecoder[Wire],
    keep: Callable[[list[Wire]], Iterable[Out]],
    params: Params = (),
    *,
    most_pages: int | None = None,
) -> Listing[Out]:
    """Every page of a list through `keep`, which returns what is worth keeping of one page.

    A list that breaks after its first page answers with what was read and `incomplete`, and so does one that has more
    than `most_pages`; one that expires is begun again once, then answers `expired`. An object that is sent twice is kept once
    and named in `problems`; a server that repeats a page, or sends empty ones without end, gets no further requests.
    Raises Failure where nothing was read.
    """
    listing = _read_once(session, path, asked, decoder, keep, params, most_pages)
    if listing.outcome is Outcome.EXPIRED:
        listing = _read_once(session, path, asked, decoder, keep, params, most_pages)
    if listing.outcome is Outcome.EXPIRED:
        listing.reason = f"The list of {asked.resource} expired twice while it was being read, after {listing.count:,}."
    return listing


def _read_once(  # noqa: PLR0913 the parts of a list request
    session: Session,
    path: str,
    asked: Asked,
    decoder: PageDecoder[Wire],
    keep: Callable[[list[Wire]], Iterable[Out]],
    params: Params,
    most_pages: int | None,
) -> Listing[Out]:
    listing: Listing[Out] = Listing(items=[])
    token, size, pages, broken, empty = "", session.limits.page_size, 0, 0, 0
    names: set[tuple[str, str]] = set()
    while True:
        # resourceVersion stays out: together with it the server ignores `limit` and sends everything at once.
        query = [*params, ("limit", size), *([("continue", token)] if token else [])]
        try:
            page = decoder.decode(session.get(path, asked, query).body, asked)
        except Failure as failure:
            if failure.outcome is Outcome.TOO_LARGE and size > _SMALLEST_PAGE:
                size = max(_SMALLEST_PAGE, size // 5)
                continue
            if pages == 0:
                raise
            return _broken_off(listing, failure, pages)
        pages += 1
        sent = len(page.items)
        page.items = _without_repeats(page.items, names, listing.problems)
        if sent and not page.items:
            return _broken_off(listing, Failure(Outcome.MALFORMED, "The server sends the same page again."), pages)
        empty = 0 if sent else empty + 1
        listing.count += len(page.items)
        listing.items.extend(keep(page.items))
        about = None if page.remaining is None else listing.count + page.remaining
        session.report(Progress(asked.resource, listing.count, about))
        page.items.clear()  # or this page would live on while the next one is read
        if page.not_understood:
            broken += page.not_understood
            listing.outcome = Outcome.INCOMPLETE
            listing.reason = f"{broken:,} of the {asked.resource} could not be understood: {page.problem}."
        if not page.continue_:
            return listing
        if page.continue_ == token:
            return _broken_off(listing, Failure(Outcome.MALFORMED, "The server repeats its continue token."), pages)
        if empty == MOST_EMPTY_PAGES:
            return _broken_off(listing, Failure(Outcome.MALFORMED, f"The server sent {empty} empty pages in a row."), pages)
        if pages == most_pages:
            return _broken_off(listing, Failure(Outcome.INCOMPLETE, "Muster reads no more of them in one run."), pages)
        token = page.continue_


def _without_repeats(items: list[Wire], names: set[tuple[str, str]], problems: list[ObjectProblem]) -> list[Wire]:
    """Returns the objects whose namespace and name are not in `names` yet, and adds those names to it."""
    fresh = []
    for item in items:
        meta = getattr(item, "metadata", None)
        if not isinstance(meta, ObjectMeta) or not meta.name:
            fresh.append(item)
            continue
        identity = (meta.namespace or "", meta.name)
        if identity not in names:
            names.add(identity)
            fresh.append(item)
        elif len(problems) < _MOST_PROBLEMS:
            name = "/".join(filter(None, identity))
            problems.append(
                ObjectProblem("object", shorten(name, 253), "The list contained it more than once; the first was kept.")
            )
    return fresh


def _broken_off(listing: Listing[Out], failure: Failure, pages: int) -> Listing[Out]:
    listing.outcome = Outcome.EXPIRED if failure.outcome is Outcome.EXPIRED else Outcome.INCOMPLETE
    plural = "page" if pages == 1 else "pages"
    listing.reason = f"The list ended early after {pages} {plural} ({listing.count:,} read). {failure.reason}"
    return listing
