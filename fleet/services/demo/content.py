"""What people made in the demonstration: pools, classes, teams, accounts, requests, notifications, prices and decisions.

Each by its service, as a person would.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.manifests.parameters import CLASS_LABEL, NAME_LABEL
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.models import AccessRequestState, Cluster, FindingRow, Node, Pod, Role, Team, User
from fleet.selectors import declarations
from fleet.services import access_requests, accounts, classes, maintenance, pools, prices, silences, teams, waivers
from fleet.services.notifications import rules, targets
from fleet.services.sign_in import OWNER

H100, T4, L40S = "NVIDIA-H100-80GB-HBM3", "Tesla-T4", "NVIDIA-L40S"


def pool_specs() -> list[PoolSpec]:
    """Returns the pools of the demonstration, one for each way to share a GPU."""

    def pool(slug: str, title: str, selector: PoolSelector, **policy: object) -> PoolSpec:
        return PoolSpec(slug=slug, title=title, selector=selector, policy=PoolPolicy(**policy))  # type: ignore[arg-type]

    east, west, lab, staging = ("prod-us-east",), ("prod-eu-west",), ("research-onprem",), ("staging-iad",)
    alone, uncut = ("exclusive",), ("none",)
    return [
        pool(
            "h100-production",
            "H100 production",
            PoolSelector(clusters=east, products=(H100,), sharing=alone, partitioning=uncut),
            purpose="Online inference on whole GPUs",
            availability_target=99.5,
        ),
        pool(
            "h200-training",
            "H200 training",
            PoolSelector(clusters=east, products=("NVIDIA-H200",), sharing=alone, partitioning=uncut),
            purpose="Training",
            availability_target=98.0,
        ),
        pool("h100-mig", "H100 with MIG", PoolSelector(clusters=east, products=(H100,), partitioning=("mig-single",))),
        pool("t4-shared", "T4 time-sliced", PoolSelector(clusters=east, products=(T4,), sharing=("time-slicing",))),
        pool("l40s-mps", "L40S with MPS", PoolSelector(clusters=east, products=(L40S,), sharing=("mps",))),
        pool(
            "a100-batch",
            "A100 batch",
            PoolSelector(clusters=west, products=("NVIDIA-A100-SXM4-80GB",)),
            purpose="Batch jobs",
            availability_target=97.0,
        ),
        pool("h100-research", "H100 research", PoolSelector(clusters=lab, products=(H100,))),
        pool(
            "staging-h100",
            "Staging H100",
            PoolSelector(clusters=staging, products=(H100,)),
            purpose="Release tests",
            availability_target=99.0,
        ),
        pool("staging-a100-mig", "Staging A100 with MIG", PoolSelector(clusters=staging, products=("NVIDIA-A100-SXM4-80GB",))),
        pool("staging-l40s", "Staging L40S time-sliced", PoolSelector(clusters=staging, products=(L40S,))),
    ]


CLASSES = (
    ClassSpec(
        slug="h100-online",
        title="Full H100, production inference",
        purpose="A model server that needs whole GPUs",
        gpus=1,
        sizes=(2, 4, 8),
        products=(H100,),
        max_replicas=4,
        max_hours=24 * 90,
        pools=("h100-production", "h100-research"),
    ),
    ClassSpec(
        slug="training-h200",
        title="H200 training, two nodes",
        purpose="Distributed training",
        gpus=16,
        nodes=2,
        topology="several-nodes",
        max_replicas=0,
        max_hours=24 * 14,
        pools=("h200-training",),
    ),
    ClassSpec(
        slug="slice-1g-10gb",
        title="MIG slice with 10 GB",
        purpose="Small models and embeddings",
        isolation="mig",
        profile="1g.10gb",
        max_replicas=8,
        pools=("h100-mig",),
    ),
    ClassSpec(
        slug="notebook-t4",
        title="T4 time-sliced",
        purpose="Notebooks; nothing is isolated",
        isolation="time-sliced",
        max_replicas=2,
        max_hours=72,
        pools=("t4-shared",),
    ),
    ClassSpec(slug="small-l40s", title="L40S with MPS", isolation="mps", max_replicas=4, pools=("l40s-mps",)),
    ClassSpec(slug="batch-a100", title="A100 batch", gpus=1, sizes=(2, 4, 8), max_hours=24 * 7, pools=("a100-batch",)),
)
PEOPLE = (
    ("olga-operator", Role.OPERATOR),
    ("omar-operator", Role.OPERATOR),
    ("dana-developer", Role.DEVELOPER),
    ("dev-search", Role.DEVELOPER),
    ("vera-viewer", Role.VIEWER),
    ("ada-admin", Role.ADMIN),
)
TEAMS = (
    ("inference", "Inference", ("inference", "assistants"), 40, ("dana-developer",)),
    ("search", "Search", ("search", "speech"), 16, ("dev-search",)),
    ("research", "Research", ("train", "research-nlp", "vision"), None, ("dana-developer",)),
)
INBOX = "On-call channel"
PRICES = (
    (H100, "", "", "2.90", "Contract 2026, on demand"),
    (H100, "research-onprem", "", "1.35", "Depreciation and power, on premises"),
    ("NVIDIA-H200", "", "", "3.60", "Contract 2026, on demand"),
    ("NVIDIA-A100-SXM4-80GB", "", "", "1.80", "Contract 2026, reserved"),
    (L40S, "", "", "0.95", "List price"),
    (T4, "", "", "0.35", "List price"),
)
"""Product, cluster, machine type, price of a GPU-hour in USD, source. Other products have none: their cost is unknown."""


@transaction.atomic
def make(now: datetime) -> None:
    """Creates everything, or nothing."""
    owner = User.objects.get(username=OWNER)
    for spec in pool_specs():
        pools.save(owner, spec, now)
    for class_spec in CLASSES:
        classes.save(owner, class_spec, now)
    people = {name: _account(owner, name, role, now) for name, role in PEOPLE}
    for slug, name, namespaces, most, members in TEAMS:
        team = teams.save_team(owner, slug, name, namespaces, most, "", now)
        for member in members:
            teams.set_member(owner, team, people[member], lead=True, now=now)
    _notify(owner)
    for product, cluster, machine_type, amount, source in PRICES:
        key = {"product": product, "cluster": cluster, "machine_type": machine_type}
        prices.save(owner, {**key, "per_gpu_hour": amount, "currency": "USD", "source": source}, now)
    _make_requests(people, now)
    _decide(people["olga-operator"], now)


def _account(owner: User, name: str, role: Role, now: datetime) -> User:
    return User.objects.filter(username=name).first() or accounts.create(owner, name, role, now)


def _notify(owner: User) -> None:
    """Makes an inbox and its rules; before the requests, so that it gets their events."""
    inbox, _ = targets.create(owner, name=INBOX, kind="inbox")
    rules.save(owner, None, {"name": "Nodes and clusters that fail", "target": inbox, "kinds": ["verdict", "cluster"]})
    rules.save(owner, None, {"name": "Critical findings", "target": inbox, "kinds": ["finding"], "min_severity": "critical"})
    rules.save(owner, None, {"name": "Requests and promises", "target": inbox, "kinds": ["request", "compliance"], "group_s": 0})


def _make_requests(people: dict[str, User], now: datetime) -> None:
    """Creates requests in every state, each by the steps that lead to it."""
    dana, dev, olga = people["dana-developer"], people["dev-search"], people["olga-operator"]
    versions = declarations.newest_versions()
    inference, search, research = (Team.objects.get(slug=slug) for slug in ("inference", "search", "research"))

    def ask(actor: User, team: Team, slug: str, name: str, replicas: int, days_ago: float, **more: object) -> int:
        row = access_requests.draft(
            actor,
            team,
            versions[slug],
            namespace=team.namespaces[0],
            name=name,
            replicas=replicas,
            now=now - timedelta(days=days_ago),
            **more,  # type: ignore[arg-type]
        )
        return int(row.pk)

    def at(days_ago: float) -> datetime:
        return now - timedelta(days=days_ago)

    ask(dana, inference, "h100-online", "llama-70b-draft", 2, 0.1, purpose="Try the 70B model", gpus=4)
    waiting = ask(dev, search, "h100-online", "rerank-large", 12, 0.3, purpose="Black Friday traffic", gpus=1)
    access_requests.submit(dev, waiting, at(0.2))
    granted = ask(dana, inference, "h100-online", "chat-8b", 3, 6, purpose="Chat assistant", gpus=1, hours=24 * 30)
    access_requests.submit(dana, granted, at(6))
    big = ask(dana, research, "training-h200", "pretrain-moe", 1, 9, purpose="Pretraining run 42", hours=24 * 12)
    access_requests.submit(dana, big, at(9))
    access_requests.approve(olga, big, at(8.6), "Agreed in the capacity meeting.")
    refused = ask(dev, search, "training-h200", "embedder-sweep", 3, 5, purpose="Hyperparameter sweep", hours=24 * 7)
    access_requests.submit(dev, refused, at(5))
    access_requests.reject(olga, refused, at(4.8), "The sweep fits on A100: use batch-a100.")
    withdrawn = ask(dev, search, "slice-1g-10gb", "ocr-test", 20, 3, purpose="OCR test")
    access_requests.submit(dev, withdrawn, at(3))
    access_requests.withdraw(dev, withdrawn, at(2.9), "Not needed any more.")
    expired = ask(dana, research, "notebook-t4", "course-notebooks", 2, 20, purpose="Course in week 45", hours=72)
    access_requests.submit(dana, expired, at(20))
    ending = ask(dev, search, "notebook-t4", "eval-notebook", 1, 2.7, purpose="Evaluation", hours=72)
    access_requests.submit(dev, ending, at(2.7))
    _ask_for_what_runs(people, now)
    access_requests.pass_time(now)


def _ask_for_what_runs(people: dict[str, User], now: datetime) -> None:
    """A request that has become active: for a workload that runs with the labels of its class."""
    pods = Pod.objects.filter(removed_at=None, holds=True, snapshot__labels__contains={CLASS_LABEL: "h100-online"})
    for team, member in ((Team.objects.get(slug="inference"), "dana-developer"), (Team.objects.get(slug="search"), "dev-search")):
        row = pods.filter(namespace__in=team.namespaces).order_by("namespace", "name").first()
        if row is None:
            continue
        name, asked = row.snapshot["labels"].get(NAME_LABEL, ""), now - timedelta(days=21)
        running = pods.filter(namespace=row.namespace, snapshot__labels__contains={NAME_LABEL: name})
        request = access_requests.draft(
            people[member],
            team,
            declarations.newest_versions()["h100-online"],
            namespace=row.namespace,
            name=name,
            replicas=running.count(),
            gpus=row.slots,
            hours=24 * 80,
            purpose="Production traffic",
            now=asked,
        )
        if access_requests.submit(people[member], request.pk, asked).state == AccessRequestState.SUBMITTED:
            access_requests.approve(people["olga-operator"], request.pk, asked + timedelta(hours=2))
        access_requests.mark_active(request.pk, asked + timedelta(hours=3))
        return


def _decide(olga: User, now: datetime) -> None:
    """A waiver, a maintenance and a silence, where the fleet has something to decide on."""
    cluster = Cluster.objects.filter(name="prod-eu-west", removed_at__isnull=True).first()
    if cluster is not None:
        reason = "The managed driver ships no validator; node images are tested before they roll out."
        waivers.grant(olga, cluster, "cuda_works", reason=reason, now=now)
    node = Node.objects.filter(cluster__name="prod-us-east", verdict="ready", removed_at=None).order_by("name").last()
    if node is not None:
        maintenance.begin(olga, node, reason="Firmware update of the NICs", until=now + timedelta(hours=6), now=now)
    finding = (
        FindingRow.objects.filter(period__endswith__isnull=True, severity="warning", node__cluster__name="research-onprem")
        .order_by("pk")
        .first()
    )
    if finding is not None:
        until = now + timedelta(days=2)
        silences.silence(olga, finding, reason="Known: waits for the change window on Thursday.", until=until, now=now)
