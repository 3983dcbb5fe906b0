from __future__ import annotations

from fleet.domain.findings import Severity, Status
from tests.domain.health.subjects import ask, sample, subject, uuid_of

FULL = {"fb_used": 77_000.0, "fb_free": 3_000.0, "fb_reserved": 600.0}


def test_a_full_memory_is_information_after_a_while() -> None:
    result = ask("framebuffer_pressure", subject(sample(0, **FULL), *(sample(index) for index in range(1, 8))))
    assert result.status is Status.PASS
    assert [(finding.key, finding.severity, finding.sustain_s) for finding in result.findings] == [
        (uuid_of(), Severity.INFO, 600)
    ]


def test_reserved_memory_counts_and_older_exporters_tell_none() -> None:
    eight = [sample(index, fb_used=76_000.0, fb_free=4_000.0, fb_reserved=None) for index in range(8)]
    assert len(ask("framebuffer_pressure", subject(*eight)).findings) == 8
    reserved = [sample(index, fb_used=76_000.0, fb_free=4_000.0, fb_reserved=600.0) for index in range(8)]
    assert ask("framebuffer_pressure", subject(*reserved)).findings == ()


def test_a_mig_instance_has_memory_of_its_own() -> None:
    instances = [sample(0, gi_id="7", **FULL), sample(0, gi_id="8")]
    result = ask("framebuffer_pressure", subject(*instances, *(sample(index) for index in range(1, 8))))
    assert [(finding.key, finding.subject) for finding in result.findings] == [(f"{uuid_of()}/7", "mig_instance")]


def test_memory_of_nothing_is_no_measurement() -> None:
    nothing = sample(0, fb_used=0.0, fb_free=0.0, fb_reserved=0.0)
    assert ask("framebuffer_pressure", subject(nothing, *(sample(index) for index in range(1, 8)))).status is Status.UNKNOWN
