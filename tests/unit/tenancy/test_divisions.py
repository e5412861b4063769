"""Division codes: what digits say, what the tables say, and what people are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yunchi_operator.api.kinds import Division, DivisionSpec, Metadata
from yunchi_operator.tenancy import codes
from yunchi_operator.tenancy.divisions import decide
from yunchi_operator.tenancy.tables import shipped


@pytest.mark.parametrize(
    ("code", "level", "parent"),
    [
        ("320000", "Province", None),
        ("320500", "Prefecture", "320000"),
        ("320583", "County", "320500"),
        ("320583100", "Township", "320583"),
        ("320583100000", "Township", "320583"),
        ("320583100001", None, "320583100"),
        ("441900", "Prefecture", "440000"),
        ("441900003", "Township", "441900"),
        ("310101", "County", "310000"),
        ("429004", "County", "420000"),
    ],
)
def test_level_and_parent_follow_from_the_digits(code: str, level: str | None, parent: str | None) -> None:
    assert codes.well_formed(code)
    assert (codes.level(code), codes.parent(code)) == (level, parent)


@pytest.mark.parametrize("code", ["32050", "3205001", "32o500", "000000", "320001", "", "３２０５００"])
def test_what_is_no_code(code: str) -> None:
    assert not codes.well_formed(code)


def test_the_tables_hold_what_the_source_counts() -> None:
    tables = shipped()
    counties = [code for code in tables.names if codes.level(code) == "County"]
    assert len([code for code in tables.names if codes.level(code) == "Province"]) == 34
    assert len([code for code in tables.names if code.startswith("32") and codes.level(code) == "Prefecture"]) == 13
    assert len([code for code in counties if code not in tables.zones]) == 95
    assert (tables.names["321200"], tables.names["331000"]) == ("泰州市", "台州市")


def verdict(code: str, level: str, parent: str | None, *known: str) -> tuple[str, str]:
    told = Division(metadata=Metadata(name=code), spec=DivisionSpec(code=code, level=level, parent=parent))
    found = decide(told, known, shipped())
    assert (found.status == "True") == (found.reason == "Known")
    return found.reason, found.message


def test_known_divisions_with_their_parent_are_ready() -> None:
    assert verdict("320000", "Province", None)[0] == "Known"
    assert verdict("320500", "Prefecture", "320000", "320000")[0] == "Known"
    assert verdict("320583", "County", "320500", "320500")[0] == "Known"
    assert verdict("320583100", "Township", "320583", "320583")[0] == "Known"


def test_a_statistics_only_zone_is_taken_and_called_what_it_is() -> None:
    reason, message = verdict("320576", "County", "320500", "320500")
    assert reason == "Known"
    assert "statistics-only zone" in message


@pytest.mark.parametrize("code", ["130100", "330199", "500101"])
def test_beyond_the_tables_a_code_is_taken_at_its_word(code: str) -> None:
    parent = codes.parent(code) or ""
    reason, message = verdict(code, codes.level(code) or "", parent, parent)
    assert reason == "Known"
    assert "tables do not reach" in message


@pytest.mark.parametrize(
    ("code", "offer"),
    [
        ("321900", "321300 (宿迁市)"),
        ("990000", "820000"),
        ("320599", "320509"),
        ("441901", "44"),
        ("320599001", "320509"),
    ],
)
def test_unknown_codes_get_the_nearest_known_ones(code: str, offer: str) -> None:
    reason, message = verdict(code, codes.level(code) or "", codes.parent(code), codes.parent(code) or "")
    assert reason == "UnknownCode"
    assert message.startswith(f"spec.code {code}")
    assert offer in message


def test_wrong_levels_and_parents_are_told_with_the_right_ones() -> None:
    assert verdict("320500", "County", "320000", "320000")[0] == "LevelMismatch"
    reason, message = verdict("320583", "County", "320100", "320100")
    assert reason == "LevelMismatch"
    assert "is 320500; write that" in message
    assert verdict("320583", "County", None)[0] == "LevelMismatch"
    assert verdict("320583100001", "Township", "320583100", "320583100")[0] == "LevelMismatch"
    assert verdict("320583", "County", "320500")[0] == "ParentNotFound"


@given(st.from_regex(r"[0-9]{6}([0-9]{3}){0,2}", fullmatch=True))
def test_no_code_that_the_schema_lets_in_breaks_the_decision(code: str) -> None:
    for level in ("Province", "Prefecture", "County", "Township"):
        reason, message = verdict(code, level, codes.parent(code) if codes.well_formed(code) else None, "320000")
        assert reason in {"Known", "UnknownCode", "LevelMismatch", "ParentNotFound"}
        assert message
