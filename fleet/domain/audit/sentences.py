"""The sentence of an audit entry: who did what to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MUSTER = "Muster"
"""Actor of scheduled work."""
COMMAND_LINE = "Command line"

# Words before and after the subject, by action. "{x}" is filled from the entry's detail.
_PHRASES: dict[str, tuple[str, str]] = {
    "class.remove": ("removed class", ""),
    "class.save": ("saved class", ""),
    "cluster.collect": ("started a collection run of", ""),
    "cluster.telemetry_source": ("changed the telemetry source of", ""),
    "expected_gpus.declare": ("declared {count} expected GPUs for", ""),
    "expected_gpus.withdraw": ("withdrew the declared GPU count of", ""),
    "export.csv": ("exported", "as CSV"),
    "export.yaml": ("exported", "as YAML"),
    "finding.silence": ("silenced", ""),
    "finding.unsilence": ("ended the silence of", ""),
    "maintenance.begin": ("put", "into maintenance"),
    "maintenance.end": ("ended the maintenance of", ""),
    "notification_rule.change": ("changed notification rule", ""),
    "notification_rule.create": ("created notification rule", ""),
    "notification_rule.delete": ("deleted notification rule", ""),
    "notification_target.change": ("changed notification target", ""),
    "notification_target.create": ("created notification target", ""),
    "notification_target.delete": ("deleted notification target", ""),
    "notification_target.test": ("sent a test to notification target", ""),
    "pool.remove": ("removed pool", ""),
    "pool.save": ("saved pool", ""),
    "price.remove": ("removed the price of", ""),
    "price.save": ("set the price of", ""),
    "request.activate": ("recorded the first use of", ""),
    "request.approve": ("approved", ""),
    "request.change": ("changed", ""),
    "request.comment": ("commented on", ""),
    "request.draft": ("drafted", ""),
    "request.edit": ("changed the draft of", ""),
    "request.expire": ("recorded the expiry of", ""),
    "request.extend": ("asked to extend", ""),
    "request.refuse_change": ("refused a change of", ""),
    "request.reject": ("rejected", ""),
    "request.resize": ("asked to resize", ""),
    "request.submit": ("submitted", ""),
    "request.warn": ("warned of the expiry of", ""),
    "request.withdraw": ("withdrew", ""),
    "saved_view.delete": ("deleted the saved view", ""),
    "saved_view.save": ("saved the view", ""),
    "session.end": ("ended sessions of", ""),
    "session.fail": ("failed to sign in", ""),
    "session.lock": ("was locked out after too many tries", ""),
    "session.sign_in": ("signed in", ""),
    "session.sign_out": ("signed out", ""),
    "team.ask_membership": ("asked to join", ""),
    "team.decline_membership": ("declined the membership of", ""),
    "team.member": ("set the membership of", ""),
    "team.remove_member": ("removed the membership of", ""),
    "team.save": ("saved team", ""),
    "token.create": ("created token", ""),
    "token.revoke": ("revoked token", ""),
    "token.rotate": ("rotated token", ""),
    "user.change": ("changed account", ""),
    "user.limit": ("changed what may be seen by", ""),
    "user.create": ("created account", ""),
    "user.invite": ("created a sign-in link for", ""),
    "user.password": ("changed the password of", ""),
    "user.second_factor_add": ("added a second factor to", ""),
    "user.second_factor_remove": ("removed a second factor of", ""),
    "user.second_factor_renew": ("renewed the recovery codes of", ""),
    "user.second_factor_reset": ("reset the second factor of", ""),
    "waiver.grant": ("waived rung", ""),
    "waiver.withdraw": ("withdrew the waiver of rung", ""),
    "what_if.keep": ("kept the forecast", ""),
    "what_if.remove": ("removed the kept forecast", ""),
    "xid.override": ("overrode the policy of", ""),
    "xid.withdraw": ("returned to the catalogue's policy of", ""),
}
_METHODS = {
    "password": "with a password",
    "link": "by a one-time link",
    "single sign-on": "by single sign-on",
    "second factor": "with a second factor",
}
# Past tenses of verbs that do not just take -ed.
_PAST = {"begin": "began", "reset": "reset", "set": "set", "withdraw": "withdrew", "send": "sent", "end": "ended", "run": "ran"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """Who, the words before the subject, the subject and the words after it; empty parts are left out."""

    who: str
    verb: str
    subject: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.who, self.verb, self.subject, self.rest) if part)


def sentence(actor_name: str, via: str, action: str, subject: str, detail: Mapping[str, object]) -> Sentence:
    """Returns the sentence of an entry. An action without words of its own is read as noun.verb."""
    who = actor_name or (COMMAND_LINE if via == "command" else MUSTER)
    if action.startswith("session."):
        rest = _METHODS.get(str(detail.get("method")), "") if action in ("session.sign_in", "session.fail") else ""
        return Sentence(who, _PHRASES.get(action, (_generic(action), ""))[0], subject, rest)
    verb, rest = _PHRASES.get(action) or (_generic(action), "")
    for key, value in detail.items():
        verb = verb.replace(f"{{{key}}}", str(value))
    if action.endswith((".save", ".member")) and "before" in detail:
        verb = verb.replace("saved", "changed" if detail.get("before") else "created")
    return Sentence(who, verb.replace("{count} ", ""), subject, rest)


def label(action: str) -> str:
    """Returns an action as a filter shows it: "Finding: silence"."""
    noun, _, verb = action.partition(".")
    return f"{noun.replace('_', ' ').capitalize()}: {verb.replace('_', ' ')}" if verb else action


def _generic(action: str) -> str:
    noun, _, verb = action.partition(".")
    word, _, more = verb.replace("_", " ").partition(" ")
    if not word:
        return f"did {action}"
    past = _PAST.get(word) or (f"{word}d" if word.endswith("e") else f"{word[:-1]}ied" if word.endswith("y") else f"{word}ed")
    return " ".join(part for part in (past, more, noun.replace("_", " ")) if part)
