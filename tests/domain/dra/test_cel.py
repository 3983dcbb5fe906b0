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
        "numbers": DraAttribute("list", of="int", values=(0, 2)),
        "roots": DraAttribute("list", of="string", values=("pci0000:00", "pci0000:40")),
        "versions": DraAttribute("list", of="version", values=("1.2.0", "2.0.0")),
        "address": DraAttribute("string", "10.1.2.3"),
        "strange": DraAttribute("list"),
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
        # attributes with several values (KEP-5491)
        (f"{A}.numbers.includes(2) && !{A}.numbers.includes(1) && {A}.index.includes(1)", True),
        (f"{A}.roots.includes('pci0000:40') && {A}.type.includes('gpu') && !{A}.type.includes('mig')", True),
        (f"{A}.versions.includes(semver('2.0.0')) && {A}.versions.exists(v, v.major() == 1)", True),
        (f"{A}.roots.size() == 2 && 'pci0000:00' in {A}.roots && {A}.numbers.sum() == 2", True),
        # sets
        ("sets.contains([1, 2, 2], [2, 1]) && !sets.contains([1], [1, 2]) && sets.contains([1], [])", True),
        ("sets.equivalent([1, 1, 2], [2, 1]) && !sets.equivalent([1], [1, 2])", True),
        (f"sets.intersects({A}.roots, ['x', 'pci0000:00']) && !sets.intersects([1], [2]) && !sets.intersects([], [2])", True),
        # addresses and networks
        (
            f"isIP({A}.address) && !isIP('10.1.2.03') && !isIP('fe80::1%eth0') && !isIP('::ffff:1.2.3.4') && !isIP('10.1.2.256')",
            True,
        ),
        (
            (
                f"ip({A}.address).family() == 4 && ip('::1').family() == 6 && ip('::1').isLoopback()"
                " && ip('0.0.0.0').isUnspecified()"
            ),
            True,
        ),
        (f"cidr('10.0.0.0/8').containsIP(ip({A}.address)) && !cidr('10.2.0.0/16').containsIP({A}.address)", True),
        ("!cidr('10.0.0.0/8').containsIP('::1') && !cidr('10.0.0.0/8').containsCIDR('::/0')", True),
        ("cidr('192.168.0.0/16').containsCIDR('192.168.0.0/24') && !cidr('192.168.0.0/24').containsCIDR('192.168.0.0/16')", True),
        (
            "isCIDR('::1/128') && !isCIDR('::1/129') && !isCIDR('10.0.0.0') && !isCIDR('10.0.0.0/08') && isCIDR('10.0.0.1/8')",
            True,
        ),
        ("cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('192.168.0.1/24') != cidr('192.168.0.0/24')", True),
        ("string(cidr('192.168.0.1/24').ip()) == '192.168.0.1' && cidr('10.0.0.0/8').prefixLength() == 8", True),
        ("ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')", True),
        (
            (
                "ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()"
                " && ip('ff02::1').isLinkLocalMulticast()"
            ),
            True,
        ),
        (
            (
                "ip('169.254.169.254').isLinkLocalUnicast() && ip('fe80::1').isLinkLocalUnicast()"
                " && !ip('fd80::1').isLinkLocalUnicast()"
            ),
            True,
        ),
        (
            "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()",
            True,
        ),
        # patterns, maps, and macros with two variables
        (f"{A}.productName.find('[0-9]+GB') == '80GB' && {A}.type.find('x') == ''", True),
        (f"{A}.productName.findAll('[A-Z]+[0-9]') == ['A1', 'SXM4'] && {A}.productName.findAll('[0-9]', 1) == ['1']", True),
        (f"{{'gpu': 1, 'mig': 2}}[{A}.type] == 1 && {{'a': [1]}} == {{'a': [1]}}", True),
        ("[10, 20].all(i, v, v == (i + 1) * 10) && [1, 2].exists(i, v, i == 1 && v == 2)", True),
        (f"{A}.exists(key, value, key == 'type' && value == 'gpu')", True),
        ("[5, 6].transformList(i, v, i + v) == [5, 7] && [5, 6].transformList(i, v, v > 5, i) == [1]", True),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 2) == {'b': 4}", True),
        ("[1, 2].existsOne(i, v, v == 2) && !{'a': 1}.existsOne(k, v, v == 2)", True),
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
        ("ip('10.1.2.256').family() == 4", "IP address parse error"),
        ("cidr('10.0.0.0/33').prefixLength() == 33", "network address parse error"),
        ("device.attributes[['a']].type == 'gpu'", "no such overload"),
        ("['a'] in device.attributes", "no such overload"),
        ("{'a': 1}['b'] == 1", "no such key: b"),
        ("{'a': 1, 'a': 2}['a'] == 1", "repeated key"),
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
        f"{A}.strange.exists(n, n == 1)",
        f"{A}.exists(key, value, value == 'nothing')",
        f"{A}.type.includes(1)",
        f"{A}.numbers.includes('2')",
        "cidr('192.168.0.0/16').containsCIDR('192.168.0.100/32')",  # Kubernetes versions differ
        "'aaa'.findAll('a*') == ['aaa']",
        "{1: 2}[1] == 2",
        "[1].all(i, i, i == 1)",
        "'%d'.format([1]) == '1'",
        "cel.bind(l, [1,2,3,4,5,6,7,8,9,10], l.all(a, l.all(b, l.all(c, l.sum() + l.sum() + l.sum() == 165))))",
        "cel.bind(l, [1,2,3,4,5,6,7,8,9,10]" + " + [1,2,3,4,5,6,7,8,9,10]" * 90 + ", l.all(a, l.all(b, sets.contains(l, l))))",
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
