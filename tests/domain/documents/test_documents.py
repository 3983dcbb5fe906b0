from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.classes.workload import ISOLATIONS, ClassSpec, problems
from fleet.domain.documents.documents import API, changes, read, read_one, write
from fleet.domain.label_selectors import Requirement, parse
from fleet.domain.placement.nodes import MODES
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PARTITIONINGS, SHARINGS, PoolSelector
from fleet.domain.snapshot import Taint
from tests.domain.classes.worlds import CLASSES, POOLS

STREAM = """\
apiVersion: muster/v1
kind: Pool
metadata:
  name: h100-prod
spec:
  title: H100 production
  selector:
    matchLabels:
      node-pool: h100
    matchExpressions:
    - key: cpu-count
      operator: Gt
      values:
      - '95'
    clusters:
    - prod-east
    products:
    - NVIDIA-H100-80GB-HBM3
  policy:
    purpose: online inference
    modes:
    - full
    taints:
    - key: nvidia.com/gpu
      value: present
      effect: NoSchedule
    driver:
      min: '570'
    availabilityTarget: 99.5
    reviewOn: '2027-01-31'
---
apiVersion: muster/v1
kind: WorkloadClass
metadata:
  name: full-h100
spec:
  title: Full H100
  gpus: 4
  maxReplicas: 2
  pools:
  - h100-prod
"""
H100_POOL = PoolSpec(
    slug="h100-prod",
    title="H100 production",
    selector=PoolSelector(
        labels=parse("node-pool=h100,cpu-count>95"), clusters=("prod-east",), products=("NVIDIA-H100-80GB-HBM3",)
    ),
    policy=PoolPolicy(
        purpose="online inference",
        modes=("full",),
        taints=(Taint("nvidia.com/gpu", "present", "NoSchedule"),),
        min_driver="570",
        availability_target=99.5,
        review_on=date(2027, 1, 31),
    ),
)
FULL = ClassSpec(slug="full-h100", title="Full H100", gpus=4, max_replicas=2, pools=("h100-prod",))


def test_a_stream_reads_as_what_it_says_and_is_written_the_same() -> None:
    result = read(STREAM)
    assert result.problems == ()
    assert result.pools == (H100_POOL,)
    assert result.classes == (FULL,)
    assert write(result.pools, result.classes) == STREAM


def test_both_grammars_of_selectors() -> None:
    text = "apiVersion: muster/v1\nkind: Pool\nmetadata: {name: a}\nspec:\n  selector:\n    labels: 'a in (b,c), !spot'\n"
    (pool,) = read(text).pools
    assert pool.selector.labels == parse("a in (b,c),!spot")


def spec(kind: str, body: str) -> str:
    """A document whose spec begins on line 5."""
    indented = "".join(f"  {line}\n" for line in body.splitlines())
    return f"apiVersion: muster/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n{indented}"


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("a: [", 1, "", "This is not valid YAML"),
        ("a: 1\nb:\n\t- c", 3, "", "This is not valid YAML"),
        ("a: \x01", 1, "", "This is not valid YAML"),
        ("- a", 1, "", "A document must be a mapping"),
        ("\n\nkind: Pool\nmetadata: {name: a}", 3, "apiVersion", "It is missing."),
        ("apiVersion: v1\nkind: Pool\nmetadata: {name: a}", 1, "apiVersion", "use muster/v1"),
        ("apiVersion: muster/v1\nkind: Pod\nmetadata: {name: a}", 2, "kind", "“Pod” is none of Pool, WorkloadClass."),
        ("apiVersion: muster/v1\nkind: Pool\nmetadata: {name: A_B}", 3, "metadata.name", "is not a valid name"),
        ("apiVersion: muster/v1\nkind: Pool\nmetadata: {}", 3, "metadata.name", "It is missing."),
        ("apiVersion: muster/v1\nkind: Pool\nkind: Pool\nmetadata: {name: a}", 3, "kind", "written twice"),
        ("a: &x [1]\nb: *x", 2, "", "aliases"),
        ("a: " + "[" * 60 + "]" * 60, 1, "", "nested too deeply"),
        (spec("Pool", "titel: x\ntitle: y"), 5, "spec.titel", "Unknown field. Did you mean title?"),
        (spec("Pool", "title: true"), 5, "spec.title", "put it in quotes"),
        (spec("Pool", "title: [a]"), 5, "spec.title", "Enter a text."),
        (spec("Pool", "policy: x"), 5, "spec.policy", "Must be a mapping"),
        (spec("Pool", "policy:\n  oneProduct: maybe"), 6, "spec.policy.oneProduct", "Enter true or false."),
        (spec("Pool", "policy:\n  requiredRung: 10"), 6, "spec.policy.requiredRung", "from 0 to 9"),
        (spec("Pool", "policy:\n  availabilityTarget: 101"), 6, "spec.policy.availabilityTarget", "from 0 to 100"),
        (spec("Pool", "policy:\n  availabilityTarget: .nan"), 6, "spec.policy.availabilityTarget", "from 0 to 100"),
        (spec("Pool", "policy:\n  reviewOn: soon"), 6, "spec.policy.reviewOn", "Enter a date"),
        (spec("Pool", "policy:\n  modes: [full, half]"), 6, "spec.policy.modes[1]", "“half” is none of full, mig"),
        (spec("Pool", "policy:\n  modes: full"), 6, "spec.policy.modes", "Must be a list."),
        (
            spec("Pool", "policy:\n  taints:\n  - key: a\n    effect: Never"),
            8,
            "spec.policy.taints[0].effect",
            "is none of NoSchedule",
        ),
        (spec("Pool", "policy:\n  taints:\n  - value: a"), 7, "spec.policy.taints[0].key", "It is missing."),
        (
            spec("Pool", "policy:\n  tolerations:\n  - operator: Exists\n    value: a"),
            8,
            "spec.policy.tolerations[0].value",
            "no value",
        ),
        (spec("Pool", "policy:\n  driver:\n    min: R570"), 7, "spec.policy.driver.min", "is not a version"),
        (spec("Pool", "policy:\n  driver:\n    min: 580\n    max: 570"), 8, "spec.policy.driver.max", "below the minimum"),
        (spec("Pool", "selector:\n  labels: a b"), 6, "spec.selector.labels", "is not a valid label selector"),
        (spec("Pool", "selector:\n  matchLabels:\n    a b: c"), 7, "spec.selector.matchLabels.a b", "is not a valid label key"),
        (
            spec("Pool", "selector:\n  matchExpressions:\n  - key: a\n    operator: Gt\n    values: [b]"),
            9,
            "spec.selector.matchExpressions[0].values",
            "a whole number",
        ),
        (
            spec("Pool", "selector:\n  matchLabels:\n    kubernetes.io/hostname: n1"),
            7,
            "spec.selector.matchLabels.kubernetes.io/hostname",
            "names single nodes",
        ),
        (spec("Pool", "selector:\n  clusters: [a, a]"), 6, "spec.selector.clusters[1]", "written twice"),
        (spec("Pool", "selector:\n  sharing: [half]"), 6, "spec.selector.sharing[0]", "is none of exclusive"),
        (spec("WorkloadClass", "gpus: 0"), 5, "spec.gpus", "from 1 to"),
        (spec("WorkloadClass", "title: a\nisolation: time-sliced\ngpus: 2"), 7, "spec.gpus", "exactly one slot"),
        (spec("WorkloadClass", "isolation: soft"), 5, "spec.isolation", "is none of full"),
        (spec("WorkloadClass", "isolation: mig\nprofile: big"), 6, "spec.profile", "is not a MIG profile"),
        (spec("WorkloadClass", "sizes: [1, x]"), 5, "spec.sizes[1]", "Enter a whole number"),
        (spec("WorkloadClass", "pools: [gone]"), 5, "spec.pools", "Pool gone does not exist."),
        (spec("WorkloadClass", "minMemoryMib: 1"), 5, "spec.minMemoryMib", "Did you mean minMemoryMiB?"),
    ],
)
def test_every_mistake_has_its_line_its_field_and_a_sentence(text: str, line: int, field: str, says: str) -> None:
    problems = [(problem.line, problem.field) for problem in read(text).problems if says in problem.text]
    assert (line, field) in problems, [str(item) for item in read(text).problems]


def test_all_problems_are_reported_at_once_in_their_order() -> None:
    problems = read(spec("Pool", "titel: x\npolicy:\n  oneProduct: maybe") + "---\n" + spec("WorkloadClass", "gpus: 0")).problems
    assert [item.line for item in problems] == [5, 7, 13]
    assert str(problems[0]).startswith("Line 5, spec.titel: ")


def test_a_duplicate_is_reported() -> None:
    problems = read(STREAM + "---\n" + STREAM).problems
    assert [item.text for item in problems] == ["Pool h100-prod is declared twice.", "WorkloadClass full-h100 is declared twice."]


def test_pools_that_exist_already_may_be_named() -> None:
    assert read(spec("WorkloadClass", "pools: [there]"), known_pools=["there"]).problems == ()


def test_a_stream_too_long_is_not_read() -> None:
    assert "longer than" in read("a" * 1_000_001).problems[0].text


def test_an_empty_stream_declares_nothing() -> None:
    for text in ("", "---\n", "# only a comment\n", "---\n---\n"):
        assert read(text).problems == ()


def test_what_applying_would_change() -> None:
    declared = read(STREAM.replace("gpus: 4", "gpus: 8").replace("  maxReplicas: 2\n", ""))
    pool, class_spec = changes(declared, {"h100-prod": H100_POOL}, {"full-h100": FULL})
    assert (pool.action, pool.fields) == ("unchanged", ())
    assert (class_spec.action, class_spec.fields) == ("update", (("gpus", 4, 8), ("maxReplicas", 2, None)))
    made, _ = changes(declared, {}, {})
    assert made.action == "create"
    assert ("policy.driver.min", None, "570") in made.fields


def test_the_order_in_which_labels_were_written_is_no_change() -> None:
    other = PoolSpec(slug="a", selector=PoolSelector(labels=parse("x>5,a=b")))
    (change,) = changes(read(write([other])), {"a": other}, {})
    assert change.action == "unchanged"


def test_export_and_apply_of_the_whole_world_changes_nothing() -> None:
    declared = read(write(POOLS, CLASSES.values()))
    assert declared.problems == ()
    assert declared.classes == tuple(CLASSES.values())
    assert {change.action for change in changes(declared, {pool.slug: pool for pool in POOLS}, CLASSES)} == {"unchanged"}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
WORDS = st.sampled_from(["a", "true", "1.10", "570", "null", "yes", "2027-01-31", "~", "0x1"])
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement, WORDS.filter(lambda word: word != "~"), st.just("in"), st.sampled_from([("a",), ("true",), ("1.10", "b")])
    ),
    st.builds(Requirement, st.sampled_from(["k", "x.y/z"]), st.sampled_from(["exists", "absent"])),
    st.builds(Requirement, st.just("n"), st.sampled_from(["gt", "lt"]), st.just(("5",))),
)
NAMES = st.lists(WORDS, unique=True, max_size=3).map(tuple)
SELECTORS = st.builds(
    PoolSelector,
    labels=st.lists(REQUIREMENTS, unique=True, max_size=4).map(tuple),
    clusters=NAMES,
    products=NAMES,
    partitioning=st.sampled_from([(), PARTITIONINGS]),
    sharing=st.sampled_from([(), SHARINGS[:1]]),
)
POLICIES = st.builds(
    PoolPolicy,
    purpose=TEXTS,
    modes=st.sampled_from([(), MODES]),
    taints=st.sampled_from([(), (Taint("a", "true", "NoSchedule"), Taint("b", "", "NoExecute"))]),
    tolerations=st.sampled_from([(), (Toleration("", "Exists"), Toleration("a", "Equal", "1", "NoExecute"))]),
    one_product=st.booleans(),
    one_driver=st.booleans(),
    min_driver=st.sampled_from(["", "570.10"]),
    max_driver=st.sampled_from(["", "580"]),
    required_rung=st.integers(0, 9),
    other_pods=st.booleans(),
    priority_class=st.sampled_from(["", "high"]),
    availability_target=st.one_of(st.none(), st.floats(0, 100)),
    min_ready=st.one_of(st.none(), st.integers(0, 9)),
    partial_nodes=st.booleans(),
    exclusive=st.booleans(),
    nvlink=st.booleans(),
    owner=TEXTS,
    review_on=st.one_of(st.none(), st.dates()),
)


@pytest.mark.slow
@given(st.builds(PoolSpec, slug=st.just("p"), title=TEXTS, description=TEXTS, selector=SELECTORS, policy=POLICIES))
def test_any_pool_survives_the_way_out_and_back(pool: PoolSpec) -> None:
    declared = read(write([pool]))
    assert declared.problems == ()
    assert [change.action for change in changes(declared, {"p": pool}, {})] == ["unchanged"]
    assert declared.pools[0].policy == pool.policy
    assert (declared.pools[0].title, declared.pools[0].description) == (pool.title, pool.description)
    assert set(declared.pools[0].selector.labels) == set(pool.selector.labels)


@pytest.mark.slow
@given(
    st.builds(
        ClassSpec,
        slug=st.just("c"),
        title=TEXTS,
        purpose=TEXTS,
        isolation=st.sampled_from(list(ISOLATIONS)),
        gpus=st.sampled_from([1, 4]),
        sizes=st.sampled_from([(), (2, 8)]),
        min_memory_mib=st.one_of(st.none(), st.integers(1, 99)),
        profile=st.sampled_from(["", "1g.10gb+me"]),
        products=NAMES,
        max_replicas=st.one_of(st.none(), st.integers(0, 5)),
        max_hours=st.one_of(st.none(), st.integers(1, 5)),
    ).filter(lambda class_spec: not problems(class_spec))
)
def test_any_class_survives_the_way_out_and_back(class_spec: ClassSpec) -> None:
    assert read(write(classes=[class_spec])).classes == (class_spec,)
    assert read(write(classes=[class_spec])).problems == ()


@pytest.mark.slow
@settings(max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text("ab:-[]{}&*!|>'\"\n #?,%@`", max_size=60)))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert isinstance(read(text).problems, tuple)
    assert read(spec("Pool", f"title: {text}")).pools or read(spec("Pool", f"title: {text}")).problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"\UFFFFFFFF", "it contains an invalid character or number"),
        (r"\U00110000", "it contains an invalid character or number"),
        (r"a\0b", "a text contains NUL or half of a surrogate pair, which cannot be stored"),
        (r"\ud800", "a text contains NUL or half of a surrogate pair, which cannot be stored"),
        ("a\0b", "unacceptable character #x0000: special characters are not allowed"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_line(text: str, says: str) -> None:
    problems = read(f'apiVersion: muster/v1\nkind: Pool\nmetadata:\n  name: a\nspec:\n  title: "{text}"\n').problems
    assert [str(item) for item in problems] == [f"Line 6: This is not valid YAML: {says}."]


def test_a_version_beyond_all_numbers_is_a_problem() -> None:
    assert read(f"%YAML 1.{'9' * 5000}\n---\na: b\n").problems


@pytest.mark.slow
def test_a_stream_is_bounded() -> None:
    assert [problem.text for problem in read("# " + "a" * 200_000).problems] == ["It is longer than 200,000 characters."]
    assert "it contains more than 20,000 values" in read("[" + "a," * 60_000).problems[0].text


def test_at_most_a_hundred_problems_are_reported() -> None:
    fields = "".join(f"  f{number}: 1\n" for number in range(500))
    for text in ("--- a\n" * 500, f"apiVersion: muster/v1\nkind: Pool\nmetadata:\n  name: a\nspec:\n{fields}"):
        problems = read(text).problems
        assert len(problems) == 100
        assert problems[-1].text == "Too many problems: the rest is not listed."


def test_a_form_declares_what_a_file_does() -> None:
    spec = {
        "selector": {"labels": "node-pool=a100", "clusters": ["east"]},
        "policy": {
            "oneDriver": False,
            "availabilityTarget": "99.5",
            "taints": [{"key": "nvidia.com/gpu"}],
            "reviewOn": "2027-01-31",
        },
    }
    declared = read_one("Pool", "training", spec)
    assert declared == read(yaml.safe_dump({"apiVersion": API, "kind": "Pool", "metadata": {"name": "training"}, "spec": spec}))
    assert declared.problems == ()
    assert declared.pools[0].policy.availability_target == 99.5


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        ({"policy": {"availabilityTarget": "101"}}, "spec.policy.availabilityTarget", "Enter a number from 0 to 100."),
        ({"policy": {"modes": ["full", "half"]}}, "spec.policy.modes[1]", "“half” is none of"),
        ({"title": "a\0b"}, "spec.title", "Remove NUL"),
        ({"selector": {"clusters": ["\ud800"]}}, "spec.selector.clusters[0]", "Remove NUL"),
        ({"selector": {"clusters": ["c"] * 20_000}}, "", "It contains more than 20,000 values."),
        ({"policy": {"purpose": ["x"]}}, "spec.policy.purpose", "Enter a text."),
    ],
)
def test_what_a_form_declares_is_checked_as_a_file_is(spec: dict[str, Any], field: str, text: str) -> None:
    problem = read_one("Pool", "training", spec).problems[0]
    assert (problem.field, problem.text[: len(text)]) == (field, text)
