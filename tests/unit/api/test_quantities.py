"""Quantities: the table of Kubernetes' own rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.api.quantities import (
    LARGEST,
    amount,
    cpu_milli,
    format_amount,
    format_bytes,
    format_cpu,
    micro,
    parse,
    scaled,
    scaled_list,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 1),
        ("+3", 3),
        ("-3", -3),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("1n", Fraction(1, 10**9)),
        ("1u", Fraction(1, 10**6)),
        ("100m", Fraction(1, 10)),
        ("2k", 2000),
        ("2M", 2 * 10**6),
        ("2G", 2 * 10**9),
        ("2T", 2 * 10**12),
        ("2P", 2 * 10**15),
        ("2E", 2 * 10**18),
        ("1Ki", 1024),
        ("1Mi", 1024**2),
        ("1.5Gi", 3 * 1024**3 // 2),
        ("1Ti", 1024**4),
        ("1Pi", 1024**5),
        ("1Ei", 1024**6),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", Fraction(6, 5)),
        ("1E", 10**18),
        (2, 2),
        (0.1, Fraction(1, 10)),
        (1e22, LARGEST),
        ("100E", LARGEST),
    ],
)
def test_legal_quantities_are_read_exactly(text: str | float, value: int | Fraction) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["4Gx", "1gi", "1K", "1ki", "2 Gi", "1ee3", "1mm", "1iK", "3e", "5e1.5"])
def test_an_unknown_unit_names_the_text_and_the_legal_units(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown unit .*legal units are n, u, m, k") as error:
        parse(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["", "Gi", "--1", "1,5", "٣", "one", "9" * 100, "1" + "\n"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity|unknown unit"):
        parse(text)


def test_a_truth_value_is_no_quantity() -> None:
    with pytest.raises(ValueError, match="True is not a quantity"):
        parse(True)


@pytest.mark.parametrize(
    ("text", "milli"), [("1", 1000), ("100m", 100), ("0.1", 100), ("1n", 1), ("1001u", 2), ("1.0001", 1001), (2, 2000)]
)
def test_cpu_rounds_up_to_millicores(text: str | int, milli: int) -> None:
    assert cpu_milli(text) == milli


@pytest.mark.parametrize(
    ("text", "whole"), [("1", 1), ("100m", 1), ("1.5", 2), ("1Ki", 1024), ("0.5Ki", 512), ("0", 0)]
)
def test_amounts_round_up_to_whole_units(text: str, whole: int) -> None:
    assert amount(text) == whole


def test_a_negative_amount_rounds_away_from_zero_like_kubernetes() -> None:
    assert amount("-1.5") == -2


def test_cpu_is_scaled_to_millicores_and_nothing_else_is() -> None:
    assert (scaled("cpu", "2"), scaled("memory", "2"), scaled("nvidia.com/gpu", "2")) == (2000, 2, 2)


def test_a_fault_in_a_list_names_the_resource() -> None:
    with pytest.raises(ValueError, match=r"memory: '4Gx': unknown unit 'Gx'"):
        scaled_list({"cpu": "1", "memory": "4Gx"})


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1_000_000), ("12.5", 12_500_000), ("0.000001", 1), ("0", 0), (3, 3_000_000)]
)
def test_costs_are_exact_millionths(text: str | int, value: int) -> None:
    assert micro(text) == value


@pytest.mark.parametrize("text", ["-1", "1e3", "1k", "", "0.0000001", "1,5", "NaN"])
def test_a_cost_that_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a cost|more than six decimals"):
        micro(text)


def test_formatting() -> None:
    assert [format_cpu(1500), format_cpu(2000), format_cpu(0)] == ["1500m", "2", "0"]
    assert [format_bytes(4 << 30), format_bytes(1500), format_bytes(0), format_bytes(1536)] == [
        "4Gi",
        "1500",
        "0",
        "1536",
    ]


@given(
    st.integers(min_value=0, max_value=1 << 60), st.sampled_from(["cpu", "memory", "hugepages-2Mi", "pods", "x.io/y"])
)
def test_formatting_and_reading_are_inverse(value: int, resource: str) -> None:
    assert scaled(resource, format_amount(resource, value)) == min(value, LARGEST)


@given(st.decimals(min_value=0, max_value=10**6, places=4), st.sampled_from(["", "m", "k", "Ki", "Gi"]))
def test_rounding_is_never_down_and_less_than_one(number: object, unit: str) -> None:
    text = f"{number}{unit}"
    assert 0 <= amount(text) - parse(text) < 1
