"""YAML from events: same values as the safe loader, but bounded."""

from __future__ import annotations

import pytest
import yaml

from yunchi_operator.api import documents
from yunchi_operator.api.documents import BadDocument, lines_of, read_yaml


def values(text: str) -> list[object]:
    return [document.value for document in read_yaml(text)]


SAMPLE = """
a: {b: [1, 2.5, x, "7", 'q', null, ~, true, No]}
text: |
  two
  lines
empty:
base: &base {cpu: 1, memory: 2Gi}
other: {<<: *base, cpu: 3}
many: {<<: [*base, {z: 1}]}
again: *base
tagged: !!str 5
hex: 0x1F
"""


def test_values_are_those_of_the_safe_loader() -> None:
    assert values(SAMPLE) == [yaml.safe_load(SAMPLE)]


@pytest.mark.parametrize("text", ["2024-01-01", "12:30:45", "1_000", "0b1", "1.2.3", "v1", "+", ".inf"])
def test_what_kubernetes_reads_as_text_stays_text(text: str) -> None:
    assert values(f"a: {text}") == [{"a": text}]


def test_number_keys_become_text_as_in_kubernetes() -> None:
    assert values("labels: {1: a, true: b}") == [{"labels": {"1": "a", "true": "b"}}]


def test_documents_are_counted_with_empty_ones_and_know_their_line() -> None:
    found = read_yaml("---\n---\na: 1\n---\n# only a comment\n---\nb: 2\n")
    assert [(one.index, one.line, one.value) for one in found] == [(2, 2, {"a": 1}), (4, 6, {"b": 2})]


def test_anchors_end_with_their_document() -> None:
    with pytest.raises(BadDocument, match=r"alias \*x has no anchor") as error:
        read_yaml("a: &x 1\n---\nb: *x\n")
    assert error.value.line == 3


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGE_BOMB = f"a0: &a0 {{{', '.join(f'k{n}: 1' for n in range(1000))}}}\na1: {{<<: [{', '.join(['*a0'] * 101)}]}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases blow the file up"),
        (MERGE_BOMB, "merge keys copy more than"),
        ("[" * 100_000, "nested deeper than 100"),
        ("- " * 50_000, "nested deeper than 100"),
        ("a: &a [*a]", "has no anchor before it"),
        ("a: !!python/object/apply:os.system [id]", "tag .* is not allowed"),
        ("a: !secret x", "tag !secret is not allowed"),
        ("a: 1\nb: 2\na: 3", "'a' occurs twice"),
        ("? [a, b]\n: 1", "a key must be plain text"),
        ("a: [1", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("a: {<<: 1}", "merge key << takes a mapping"),
    ],
)
def test_unsafe_or_broken_input_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadDocument, match=message):
        read_yaml(text)


def test_the_depth_limit_is_exact() -> None:
    deepest = "[" * documents.MAX_DEPTH + "]" * documents.MAX_DEPTH
    assert len(read_yaml(deepest)) == 1
    with pytest.raises(BadDocument):
        read_yaml(f"[{deepest}]")


def test_lines_of_fields() -> None:
    text = "a: 1\n---\nitems:\n- x: 1\n- x:\n    y: [1,\n      2]\n---\nz: 1\n"
    wanted: list[tuple[int, tuple[str | int, ...]]] = [
        (2, ("items", 1, "x", "y", 1)),
        (2, ("items", 1, "x")),
        (2, ("items", 1, "missing", "deeper")),
        (3, ()),
        (1, ("a",)),
        (9, ("a",)),
    ]
    assert lines_of(text, wanted) == [7, 5, 5, 8, 1, None]
