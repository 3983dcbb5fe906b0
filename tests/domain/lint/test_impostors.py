"""A pod that only looks like a part of the GPU stack is a finding, and proves nothing."""

from __future__ import annotations

from fleet.collectors.trust import believe, trust_of
from fleet.domain.findings import Severity, Status
from fleet.domain.lint.rules import gpu_stack_impostor, two_exporters
from tests.builders import make_pod
from tests.domain.lint.subjects import ask
from tests.domain.readiness.world import operand, operator, validator_steps, without


def test_a_busybox_labelled_as_validator_does_not_make_cuda_pass() -> None:
    """Seen: init containers of the right names in a tenant's pod proved rung 4."""
    honest = operator()
    bare = honest.but(pods=without(honest.pods, "validator"))
    fake = operand("validator", namespace="team-a", owner_kind="", owner_name="", containers=validator_steps())
    where = trust_of(bare.operator, (*bare.pods, fake))
    attacked = bare.but(pods=tuple(believe((*bare.pods, fake), where)))
    assert honest.says("cuda_works") is Status.PASS
    assert attacked.says("cuda_works") is bare.says("cuda_works")
    assert attacked.says("cuda_works") is not Status.PASS


def test_an_impostor_is_a_warning_with_its_owner() -> None:
    pod = make_pod("evil", gpus=0, namespace="team-a", poses_as="dcgm-exporter")
    result = ask(gpu_stack_impostor.RULE, pods=[pod])
    (finding,) = result.findings
    assert (result.status, finding.severity, finding.key) == (Status.WARN, Severity.WARNING, "team-a/Pod/evil")
    assert finding.text == (
        "team-a/Pod/evil is labelled as dcgm-exporter but is not part of the GPU stack. Muster ignores its data."
    )
    assert "MUSTER_GPU_STACK_NAMESPACES" in finding.remedy


def test_a_second_daemonset_is_information_and_still_a_second_exporter() -> None:
    own = make_pod("own", gpus=0, namespace="gpu-operator", component="dcgm-exporter", owner_kind="DaemonSet", owner_name="a")
    second = make_pod("second", gpus=0, namespace="monitoring", poses_as="dcgm-exporter", owner_kind="DaemonSet", owner_name="b")
    (finding,) = ask(gpu_stack_impostor.RULE, pods=[own, second]).findings
    assert finding.severity is Severity.INFO
    assert len(ask(two_exporters.RULE, pods=[own, second]).findings) == 1
    assert ask(two_exporters.RULE, pods=[second]).status is Status.NOT_ENABLED


def test_a_node_without_impostors_passes_and_a_finished_one_is_over() -> None:
    assert ask(gpu_stack_impostor.RULE, pods=[make_pod("train")]).status is Status.PASS
    finished = make_pod("evil", gpus=0, phase="Succeeded", poses_as="validator")
    assert ask(gpu_stack_impostor.RULE, pods=[finished]).status is Status.PASS


def test_unread_pods_say_nothing_of_impostors() -> None:
    assert gpu_stack_impostor.RULE.needs == ("nodes", "pods")
