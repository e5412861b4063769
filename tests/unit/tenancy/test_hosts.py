"""Host lists: all errors at once, by line and column, each with its remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.tenancy.hosts import COLUMNS, parse
from yunchi_operator.tenancy.inventories import of_hosts
from yunchi_operator.tenancy.observations import describe

HEADER = ",".join(COLUMNS)


def test_a_list_is_read() -> None:
    text = f"\ufeff{HEADER}\r\nnj-kp-001, arm64 ,华为,Kunpeng 920,64,256.5,1.5,,3\r\n\r\n"
    hosts, problems = parse(text)
    assert problems == ()
    (host,) = hosts
    assert (host.name, host.architecture, host.vendor) == ("nj-kp-001", "arm64", "华为")
    assert (host.cpu_milli, host.memory_bytes) == (64_000, int(256.5 * 2**30))
    assert (host.cpu_used_milli, host.memory_used_bytes, host.workloads) == (1500, None, 3)


def test_optional_columns_may_be_left_out_and_order_is_free() -> None:
    hosts, problems = parse("memory_gib,hostname,cpu_cores,arch\n64,a,8,loong64\n")
    assert problems == ()
    assert hosts[0].cpu_used_milli is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a,x86_64,,,8,64,,,", "line 2, column arch: 'x86_64' is another name of it; write amd64"),
        ("A_b,amd64,,,8,64,,,", "line 2, column hostname: 'A_b' is no host name"),
        (",amd64,,,8,64,,,", "line 2, column hostname: is empty"),
        ("a,amd64,,,eight,64,,,", "line 2, column cpu_cores: 'eight' is no number"),
        ("a,amd64,,,0,64,,,", "line 2, column cpu_cores: '0' is nothing"),
        ("a,amd64,,,8,64Gi,,,", "line 2, column memory_gib: '64Gi' is no number"),
        ("a,amd64,,,8,64,9,,", "line 2, column cpu_used_cores: 9 is more than cpu_cores 8"),
        ("a,amd64,,,8,64,,,1.5", "line 2, column workloads: '1.5' is no whole number"),
        ("a,amd64,,,8,64,-1,,", "line 2, column cpu_used_cores: '-1' is no number"),
        ("a,amd64,,,8,64", "line 2, column cpu_used_cores: 6 values under 9 columns"),
        ("a,amd64,,,8,64,,,,,", "line 2, column workloads: 11 values under 9 columns"),
        ('a,amd64,"open,,8,64,,,', "column -: no CSV"),
    ],
)
def test_each_error_names_line_column_and_remedy(line: str, expected: str) -> None:
    hosts, problems = parse(f"{HEADER}\n{line}\n")
    assert hosts == ()
    assert expected in str(problems[0])
    assert "; " in str(problems[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the header is missing"),
        (HEADER, "no host in the list"),
        ("hostname,arch,cpu_cores\na,amd64,8", "column memory_gib: the column is missing"),
        (HEADER + ",colour\n", "column colour: unknown column"),
        (HEADER + ",arch\n", "column arch: the column stands twice"),
    ],
)
def test_headers(text: str, expected: str) -> None:
    assert expected in str(parse(text)[1][0])


def test_all_errors_are_found_and_ten_are_shown() -> None:
    lines = (
        "\n".join(f"h{number},amd64,,,no,64,,," for number in range(12)) + "\nh0,arm64,,,8,64,,,\nh0,arm64,,,8,64,,,"
    )
    problems = parse(f"{HEADER}\n{lines}")[1]
    assert len(problems) == 13
    assert "h0 stands twice" in str(problems[-1])
    assert describe(problems).endswith("| and 3 more")


def test_use_is_told_only_where_each_host_tells_it() -> None:
    known, _ = parse(f"{HEADER}\na,arm64,,,8,64,2,16,1\nb,amd64,,,8,64,2,16,\n")
    inventory = of_hosts(known)
    assert (inventory.cpu, inventory.cpu_used, inventory.cpu_used_percent) == ("16", "4", 25)
    assert (inventory.workloads, inventory.memory_used) == (1, "32Gi")
    partly, _ = parse(f"{HEADER}\na,arm64,,,8,64,2,16,1\nb,amd64,,,8,64,,16,\n")
    assert of_hosts(partly).cpu_used is None


@given(st.text(alphabet=st.sampled_from('abA0123456789.,-"\n\r 泰\x00='), max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    hosts, problems = parse(f"{HEADER}\n{text}")
    assert hosts or problems
    assert all(problem.line >= 1 and problem.what and problem.remedy for problem in problems)
