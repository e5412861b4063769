"""The quick reader of kubectl's YAML: never another value than the general reader's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from yunchi_operator.api.documents import BadDocument, read_yaml
from yunchi_operator.api.kubectl_yaml import find_items, read_block
from yunchi_operator.api.manifests import Inventory
from yunchi_operator.api.yaml_text import feed_yaml

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12),
    st.sampled_from(["4Gi", "1e3", "0x1F", "010", "yes", "~", "", "a: b", "a #b", "- a", "卫健委"]),
    st.sampled_from(["x\ny", "'", '"', "&a", "*a"]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(["name", "kubernetes.io/arch", "f:x", "1", "null", "a b", "<<", "-", "x.y/z"]), st.text(max_size=5)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


def general(text: str) -> Any:
    try:
        found = read_yaml(text)
    except BadDocument:
        return "refused"
    return found[0].value[0] if len(found) == 1 and isinstance(found[0].value, list) else "refused"


@given(value=st.dictionaries(KEYS, VALUES, max_size=4), width=st.sampled_from([20, 80, 10_000]), indent=st.booleans())
def test_it_gives_the_general_readers_values_or_none(value: dict[str, Any], width: int, *, indent: bool) -> None:
    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, indentless and not indent)

    text = yaml.dump([value], Dumper=Dumper, default_flow_style=False, allow_unicode=True, width=width)
    quick = read_block(text)
    assert quick is None or quick == general(text)


LINES = [
    "a: 1", "a:", "b: x", "c", "'q': 'r'", '"d": ""', "e: {}", "f: []", "g: |", "# c", "h: a b", "---", "i: &x 1",
    "j: 'it''s'", "k:  2", "?", "l: :", "m:n", "", "1: ~", "'<<': 1",
]  # fmt: skip


@given(lines=st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["- ", "", "- - "]), st.sampled_from(LINES))))
@example(lines=[(0, "- ", "a:"), (2, "", "b: 1")])
@example(lines=[(0, "- ", "a:"), (2, "- ", "c")])
def test_whatever_the_lines_it_never_differs(lines: list[tuple[int, str, str]]) -> None:
    text = "".join(f"{' ' * indent}{dash}{rest}\n" for indent, dash, rest in lines)
    quick = read_block(text)
    assert quick is None or quick == general(text)


POD = """- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
      note: "2024"
    labels: {}
    name: web-%d
    ownerReferences:
    - apiVersion: apps/v1
      controller: true
      kind: ReplicaSet
      name: web
  spec:
    containers:
    - args:
      - --port=80
      - '8'
      image: web:1.0
      name: main
      resources:
        requests:
          cpu: 500m
          memory: 1Gi
    nodeName: n1
"""


def listed(*items: str, kind: str = "List") -> str:
    return f'apiVersion: v1\nitems:\n{"".join(items)}kind: {kind}\nmetadata:\n  resourceVersion: ""\n'


def read(text: str) -> Inventory:
    inventory = Inventory()
    feed_yaml(text.encode(), inventory, "f.yaml", lambda _: None)
    return inventory


def test_kubectls_style_is_read_quickly_and_as_a_whole() -> None:
    assert read_block(POD % 1) == general(POD % 1)
    assert find_items(listed(POD % 1).encode()) is not None
    inventory = read(listed(*(POD % number for number in range(5))))
    assert [pod.key for pod in inventory.pods] == [f"default/web-{number}" for number in range(5)]
    assert inventory.faults == []


def test_a_typed_list_gives_its_kind() -> None:
    item = "- metadata: {name: n}\n  status: {allocatable: {cpu: 1}}\n"
    assert [node.metadata.name for node in read(listed(item, kind="NodeList")).nodes] == ["n"]


def test_items_beyond_the_simple_style_are_read_too() -> None:
    block = POD % 1 + '  status:\n    message: |\n      - two\n\n      lines\n    reason: "a\\tb"\n'
    inventory = read(listed(block, POD % 2))
    assert (len(inventory.pods), inventory.faults) == (2, [])


def test_an_alias_to_another_item_is_followed() -> None:
    first = (POD % 1).replace("resources:", "resources: &r")
    second = (POD % 2).split("      resources:")[0] + "      resources: *r\n    nodeName: n1\n"
    inventory = read(listed(first, second))
    assert [pod.spec.containers[0].resources.requests["cpu"] for pod in inventory.pods] == ["500m", "500m"]


@pytest.mark.parametrize("plain", [True, False])
def test_faults_know_their_lines(*, plain: bool) -> None:
    bad = (POD % 2).replace("nodeName", "nodeNaem") + ("" if plain else '    hostname: "a\\tb"\n')
    text = listed(POD % 1, bad, (POD % 3).replace("500m", "-1"))
    wanted = [text[: text.index(what)].count("\n") + 1 for what in ("nodeNaem", "cpu: -1")]
    assert [fault.line for fault in read(text).faults] == wanted


def test_a_broken_item_is_told_with_its_line() -> None:
    text = listed(POD % 1, (POD % 2).replace("name: main", "name: [main"))
    with pytest.raises(BadDocument, match="not valid YAML") as error:
        read(text)
    assert abs(error.value.line - (text[: text.index("[main")].count("\n") + 1)) <= 1


@pytest.mark.parametrize(
    "text",
    [
        POD % 1,
        "---\n" + listed(POD % 1) + "---\n" + POD % 2,
        listed(POD % 1).replace("\n", "\r\n"),
        "items:\n  - a\n",
        listed(POD % 1) + "# a comment\n",
    ],
)
def test_other_layouts_are_left_to_the_general_reader(text: str) -> None:
    assert find_items(text.encode()) is None


def test_json_in_items_is_fine() -> None:
    item = json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {}})
    assert len(read(listed(f"- {item}\n")).nodes) == 1
