"""JSON in a window: the same objects and the same faults, however small the window is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from yunchi_operator.api import json_text
from yunchi_operator.api.documents import BadDocument
from yunchi_operator.api.json_text import JsonStream
from yunchi_operator.api.manifests import Inventory


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"allocatable": {}}} | more


def listed(*items: Any, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {"resourceVersion": ""}} | more


def read(text: str | bytes, window: int) -> Inventory:
    inventory = Inventory()
    raw = text.encode() if isinstance(text, str) else text
    JsonStream(io.BytesIO(raw).read, inventory, "f.json", window).feed()
    return inventory


NAN = json.dumps(listed(*[node(f"n{number}") for number in range(20)]), indent=1).replace('"n7"', "NaN")
WINDOWS = [1, 7, 64, 200, 1 << 20]
MANY = [node(f"n{number}") for number in range(20)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(listed(*MANY)),
        json.dumps(listed(*MANY), indent=4),
        json.dumps({"kind": "List", "apiVersion": "v1", "items": MANY}, separators=(",", ":")),
        "\n".join(map(json.dumps, MANY)),
        "\n---\n".join(json.dumps(one, indent=1) for one in MANY) + "\n---\n",
        "".join(map(json.dumps, MANY)),
        json.dumps(listed(*MANY[:10])) + "\n" + json.dumps(listed(listed(*MANY[10:]))),
    ],
)
def test_every_layout_gives_the_same_objects(text: str, window: int) -> None:
    inventory = read(text, window)
    assert inventory.faults == []
    assert [one.metadata.name for one in inventory.nodes] == [f"n{number}" for number in range(20)]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_typed_list_gives_its_kind_when_it_comes_first(window: int) -> None:
    items = [{"metadata": {"name": f"n{n}"}, "status": {"allocatable": {"cpu": "1"}}} for n in range(9)]
    inventory = read(json.dumps({"kind": "NodeList", "apiVersion": "v1", "items": items}), window)
    assert (len(inventory.nodes), inventory.faults) == (9, [])


@pytest.mark.parametrize("window", [64, 300, 1 << 20])
def test_faults_know_their_lines(window: int) -> None:
    text = json.dumps(listed(*MANY[:3], node("bad", spec={"unschedulabel": True}), *MANY[3:]), indent=1)
    line = text[: text.index("unschedulabel")].count("\n") + 1
    (fault,) = read(text, window).faults
    assert (fault.subject, fault.field, fault.line) == ("Node bad", "spec.unschedulabel", line)


def test_a_fault_in_a_list_in_a_list_knows_its_line() -> None:
    text = json.dumps(listed(listed(*MANY[:3], node("bad", status={"allocatable": {"cpu": "NaN"}}))), indent=1)
    line = text[: text.index("NaN")].count("\n") + 1
    (fault,) = read(text, 1 << 20).faults
    assert (fault.subject, fault.field, fault.line) == ("Node bad", "status.allocatable.cpu", line)


def test_only_the_first_faults_are_looked_up() -> None:
    inventory = read("\n".join(json.dumps(node(f"n{n}", spek=1)) for n in range(150)), 1 << 20)
    assert [fault.line for fault in inventory.faults] == [*range(1, 101), *[None] * 50]


def test_a_null_is_an_absent_field() -> None:
    text = json.dumps(node("n", spec=None, metadata={"name": "n", "labels": None, "creationTimestamp": None}))
    assert [one.metadata.labels for one in read(text, 64).nodes] == [{}]


@pytest.mark.parametrize("window", [16, 1 << 20])
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            json.dumps(listed(*MANY), indent=1)[:1000],
            json.dumps(listed(*MANY), indent=1)[:1000].count("\n") + 1,
            "ends",
        ),
        (NAN, NAN[: NAN.index("NaN")].count("\n") + 1, "at 'NaN'"),
        ('{"items": [{"kind": "Pod"}, ]}', 1, "not valid JSON"),
        ('{"a": 1}\n}', 2, "not valid JSON"),
        ('{"a" 1}', 1, "not valid JSON"),
        ('{"a": ' * 3000, 1, "nested too deeply"),
        ('{"items": ' + "[" * 3000, 1, "nested too deeply"),
    ],
)
def test_broken_text_is_told_with_its_line(text: str, line: int, message: str, window: int) -> None:
    with pytest.raises(BadDocument, match=message) as error:
        read(text, window)
    assert error.value.line == line


def test_a_large_object_that_is_no_list_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadDocument, match="that is no List"):
        read(json.dumps({"items": [], "kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "x" * 500}}), 64)
    monkeypatch.setattr(json_text, "LARGEST_OBJECT", 300)
    with pytest.raises(BadDocument, match="an object of more than"):
        read(json.dumps(node("n", metadata={"name": "n", "annotations": {"a": "x" * 500}})), 64)


def test_lists_in_lists_end_somewhere() -> None:
    value: Any = node("n")
    for _ in range(100):
        value = {"apiVersion": "v1", "kind": "List", "items": [value]}
    assert "deeper than 20" in read(json.dumps(value), 1 << 20).faults[0].message
    inventory = Inventory()
    from yunchi_operator.api.manifests import Origin

    inventory.add(value, Origin("f", 1))
    assert "deeper than 20" in inventory.faults[0].message
