"""Markup in every text of every table: no page fails over it, and none takes it for its own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, models, transaction
from django.test import Client

from fleet.models import Cluster, Delivery, Node, Role, User
from tests.asking import a_world
from tests.factories import (
    NOON,
    a_burst,
    a_critical_finding,
    a_delivery,
    a_finding,
    a_gpu,
    a_ladder,
    a_mig_instance,
    a_model_server,
    a_node,
    a_notice,
    a_pod,
    a_pool,
    a_resource,
    a_run,
    a_sample,
    a_target,
    a_verdict_period,
    an_exporter,
)  # fmt: skip
from tests.web.test_cross_site import addresses

pytestmark = pytest.mark.django_db
MARK = "<img src=x onerror=alert(1)>"
HOSTILE = f"{MARK}'\"`{{{{7*7}}}}%s\\u202e]]>--><svg/onload=1>"
OWN = {
    ("fleet.user", "password"), ("fleet.user", "role"), ("fleet.apitoken", "digest"), ("fleet.apitoken", "token_key"),
    ("fleet.signinlink", "digest"), ("fleet.notificationtarget", "address"), ("fleet.notificationtarget", "secret"),
    ("fleet.cluster", "name"), ("fleet.node", "name"), ("fleet.pool", "slug"), ("fleet.team", "slug"),
    ("fleet.workloadclass", "slug"), ("fleet.pod", "name"), ("fleet.pod", "namespace"),
}  # fmt: skip
"""What code writes, or what is an address: hostile ones of those never get into a table (T4, T5, T41)."""


def hostile(value: Any) -> Any:
    """The value with every text in it replaced; keys stay, since code reads by them."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    return [hostile(item) for item in value] if isinstance(value, list) else value


def poison() -> int:
    """Writes hostile text over every text that a table takes it in; returns how many columns that was."""
    count = 0
    for model in apps.get_app_config("fleet").get_models():
        if not model._meta.managed or "audit" in model._meta.label_lower:
            continue
        for field in model._meta.concrete_fields:
            if (model._meta.label_lower, field.attname) in OWN or field.choices:
                continue
            if isinstance(field, models.CharField | models.TextField) and model._default_manager.exists():
                text = HOSTILE[: field.max_length or 10_000]
                try:
                    with transaction.atomic():
                        if model._default_manager.update(**{field.attname: text}):
                            count += 1
                except DatabaseError:
                    continue  # one of a kind, or held by a constraint
    for node in Node.objects.all():
        Node.objects.filter(pk=node.pk).update(labels=hostile(node.labels), taints=hostile(node.taints))
    return count


@pytest.fixture
def admin() -> Client:
    world = a_world()
    world.ask("asked", 9)
    for cluster in Cluster.objects.all():
        a_run(cluster)
    node = a_node(
        "n9", labels={"a": "b"}, taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}], rungs=a_ladder("driver_loaded")
    )
    (
        a_resource(node),
        a_gpu(node),
        a_mig_instance(node),
        a_pod(node, "p1"),
        a_sample(node),
        an_exporter(node),
        a_model_server(node),
    )
    a_finding(node), a_critical_finding(node, opened=NOON), a_burst(node), a_notice(node=node, cluster=node.cluster)
    a_verdict_period(node, NOON, verdict="not_ready")
    a_pool("other", node), a_target(), a_delivery()
    assert Delivery.objects.exists()
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create(username="ada", role=Role.ADMIN))
    return client


def test_markup_in_every_column_is_text_on_every_page(admin: Client) -> None:
    assert poison() > 60
    broken, asked = [], {address for _, address in addresses()} | {"/nodes/east/n9/", "/pools/other/", "/search/?q=img"}
    links = set()
    for page in ("/", "/nodes/", "/findings/", "/incidents/", "/requests/", "/notifications/", "/classes/", "/pools/", "/users/"):
        links |= set(re.findall(r'href="(/[a-z][^"#]*)"', admin.get(page).content.decode()))
    for address in sorted(asked | {link.replace("&amp;", "&") for link in links}):
        if "sign-out" in address:
            continue
        answer = admin.get(address)
        if answer.streaming or not answer["Content-Type"].startswith("text/html"):
            if answer.status_code >= 500 and answer.status_code != 503:
                broken.append((address, answer.status_code))
            continue
        page = answer.content.decode()
        if (
            (answer.status_code >= 500 and answer.status_code != 503)
            or MARK in page
            or "<svg/onload" in page
            or "49" + "%s" in page
        ):
            broken.append((address, answer.status_code))
    assert broken == []
