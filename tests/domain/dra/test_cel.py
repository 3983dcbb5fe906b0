"""CEL selectors: values, errors and absorbed errors as Kubernetes evaluates them; hostile text is unknown, and at once."""

from __future__ import annotations

import time
from typing import Any

import cel as other
import pytest

from fleet.domain.dra.cel import CelError, UnsupportedError, evaluate
from fleet.domain.dra.selectors import DeviceSelectorError, UnknownSelectorError, meets
from fleet.domain.snapshot import DraDevice
from fleet.domain.snapshot.dra import DraAttribute, DraCapacity

DEVICE = DraDevice(
    driver="gpu.nvidia.com",
    pool="p",
    name="gpu-0",
    attributes={
        "type": DraAttribute("string", "gpu"),
        "productName": DraAttribute("string", "NVIDIA A100-SXM4-80GB"),
        "index": DraAttribute("int", 1),
        "ecc": DraAttribute("bool", True),
        "driverVersion": DraAttribute("version", "570.172.8"),
        "resource.kubernetes.io/pcieRoot": DraAttribute("string", "pci0000:00"),
        "numbers": DraAttribute("list"),
    },
    capacity={"memory": DraCapacity("80Gi"), "example.com/bandwidth": DraCapacity("10G")},
    shareable=True,
)
A = "device.attributes['gpu.nvidia.com']"
M = "device.capacity['gpu.nvidia.com'].memory"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"device.driver == 'gpu.nvidia.com' && {A}.type == 'gpu'", True),
        (f"{A}.index < 2 && {A}.index >= 1 && {A}.index != 3", True),
        (f"{A}.ecc", True),
        (f"!{A}.ecc || device.allowMultipleAllocations", True),
        ("device.attributes['resource.kubernetes.io'].pcieRoot == 'pci0000:00'", True),
        (f"{A}.driverVersion.compareTo(semver('570.0.0')) > 0", True),
        (f"{A}.driverVersion.isLessThan(semver('570.172.8-rc.1'))", False),
        (f"{A}.driverVersion == semver('570.172.8')", True),
        (f"{A}.driverVersion.major() == 570 && {A}.driverVersion.patch() == 8", True),
        (f"{M}.compareTo(quantity('80Gi')) == 0", True),
        (f"{M} == quantity('85899345920')", True),
        (f"{M}.isGreaterThan(quantity('81920Mi'))", False),
        (f"{M}.sub(quantity('40Gi')).asInteger() == 42949672960", True),
        ("device.capacity['example.com'].bandwidth.isGreaterThan(quantity('9G'))", True),
        (f"{A}.productName.lowerAscii().matches('^.*a100.*$')", True),
        (f"{A}.productName.startsWith('NVIDIA') && {A}.productName.contains('80GB')", True),
        (f"'nope' in {A} && {A}.nope == 'x'", False),
        (f"has({A}.nope)", False),
        (f"{A}.?nope.orValue('none') == 'none'", True),
        ("device.attributes[?'gpu.nvidia.com'].?type.hasValue()", True),
        (f"cel.bind(a, {A}, a.type == 'gpu' && a.index == 1)", True),
        (f"['gpu', 'mig'].exists(kind, kind == {A}.type)", True),
        (f"{A}.type in ['gpu', 'mig']", True),
        (f"{A}.index == 1.0", True),
        (f"{A}.?index.optMap(n, n + 1).orValue(0) == 2", True),
        (f"{A}.?nope.or({A}.?type).value() == 'gpu'", True),
        (f"{A}.productName.split('-').join('/') == 'NVIDIA A100/SXM4/80GB'", True),
        (f"{A}.productName.lastIndexOf('-') == 16 && {A}.type.charAt(0) == 'g'", True),
        ("[3, 1, 2].max() == 3 && [3, 1, 2].sum() == 6 && ![3, 1].isSorted()", True),
        (f"{A}.driverVersion.isGreaterThan(semver('v570.01', true))", True),
        ("isSemver('v1.2', true) && !isSemver('v1.2') && !isSemver('x', true)", True),
        (f"{A}.index == '1'", False),
        # an error on one side is absorbed where the other side decides
        (f"{A}.nope == 'x' || true", True),
        (f"{A}.nope == 'x' && false", False),
    ],
)
def test_selectors(expression: str, expected: bool) -> None:
    assert meets(DEVICE, (expression,), "claim n/c") is expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (f"{A}.nope == 'x'", "no such key: nope"),
        ("device.attributes['other.com'].type == 'gpu'", "no such key: type"),
        (f"{A}.nope == 'x' || false", "no such key: nope"),
        (f"{A}.type < 3", "no such overload"),
        (f"{A}.index / 0 == 1", "division by zero"),
        ("quantity('many').sign() == 1", "quantities must match"),
        (f"{A}.type", "could not be converted to bool"),
    ],
)
def test_errors_are_the_schedulers(expression: str, words: str) -> None:
    with pytest.raises(DeviceSelectorError, match=words):
        meets(DEVICE, (expression,), "claim n/c")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        f"{A}.numbers.exists(n, n == 1)",
        "unknown.name == 1",
        "authorizer.path('/').check('get').allowed()",
        f"{A}.productName.matches('(a+)+$')",
        f"{A}.productName.matches('.*.*.*.*.*x')",
        "device.driver ==",
        "'\\q' == 'q'",
        "(" * 100_000,
        "!" * 9_000 + "true",
        "[" * 5_000 + "]" * 5_000,
        "true" + " && true" * 1_200,
        "a" + ".b" * 4_000,
        "1 +" * 3_000 + "1 == 1",
        "true || " + "x" * 11_000,
        (
            "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, "
            "[1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a + b + c + d + e > 0)))))"
        ),
    ],
)
def test_what_is_not_understood_or_too_much_is_unknown_at_once(expression: str) -> None:
    started = time.monotonic()
    with pytest.raises(UnknownSelectorError):
        meets(DEVICE, (expression,), "claim n/c")
    assert time.monotonic() - started < 2


VARIABLES: dict[str, Any] = {"m": {"a": 1, "b": "x", "c": [1, 2, 3], "d": True}}


@pytest.mark.parametrize(
    "expression",
    [
        "m.a + 2 * 3 - 4 / 2",
        "7 % 3 == 1 && -7 % 3 == -1",
        "-7 / 2",
        "m.c[1] + m.c[2]",
        "m.c.map(n, n * 2)",
        "m.c.filter(n, n > 1)",
        "m.c.all(n, n > 0) && m.c.exists(n, n == 2) && m.c.exists_one(n, n == 3)",
        "size(m.c) == 3 && m.b.size() == 1",
        "m.d ? m.a : 5",
        "!m.d || m.b == 'x'",
        "has(m.a) && !has(m.z)",
        "m.b + 'y'",
        "m.c + [4]",
        "1 < 2 && 2 <= 2 && 'a' < 'b'",
        "m.b.startsWith('x') && m.b.endsWith('x') && m.b.contains('x')",
        "m.b.matches('^x$')",
        "2 in m.c && 'a' in m",
        "int('5') + 1",
        '"it\'s" == "it\'s"',
        "1 == 1 ? 'yes' : 'no'",
        "(1 + 2) * 3",
    ],
)
def test_the_same_values_as_another_evaluator(expression: str) -> None:
    assert evaluate(expression, VARIABLES) == other.evaluate(expression, VARIABLES)


@pytest.mark.parametrize("expression", ["m.z", "m.c[9]", "m.a + 'x'", "m.b < 1", "1 / 0", "9223372036854775807 + 1"])
def test_the_same_refusals_as_another_evaluator(expression: str) -> None:
    with pytest.raises((CelError, UnsupportedError)):
        evaluate(expression, VARIABLES)
    with pytest.raises(Exception):  # noqa: B017, PT011 - it has no errors of its own
        other.evaluate(expression, VARIABLES)
