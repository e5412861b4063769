"""The CRDs keep the API conventions; and each rule is shown to fail on a CRD that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import crd_rules
from support.crd_rules import RULES, Rule

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "crds").glob("*.yaml"))
KINDS = {"Division", "Department", "QuotaRequest", "Approval", "NodePool", "CloudTenancy"}

Spoiler = Callable[[dict[str, Any]], object]


def load(path: Path) -> dict[str, Any]:
    """The one document of a CRD file."""
    (document,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def version(crd: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = crd["spec"]["versions"][0]
    return found


def spec(crd: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = version(crd)["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def status(crd: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = version(crd)["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    return found


def add(schema: dict[str, Any], name: str = "extra") -> Spoiler:
    """Adds one well-described field to the spec."""
    text = {"description": f"{name} is here to break a rule."}
    return lambda crd: spec(crd)["properties"].__setitem__(name, text | schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_our_crds_keep_the_rule(path: Path, rule: Rule) -> None:
    assert list(rule(load(path))) == []


def test_there_is_one_file_for_each_kind() -> None:
    assert {load(path)["spec"]["names"]["kind"] for path in FILES} == KINDS
    assert [path.stem for path in FILES] == [load(path)["spec"]["names"]["plural"] for path in FILES]


def test_short_names_are_used_once() -> None:
    short = [name for path in FILES for name in load(path)["spec"]["names"]["shortNames"]]
    assert sorted(short) == sorted(set(short))
    assert not {"rq", "quota", "po", "no", "ns"} & set(short)


def test_conditions_are_the_same_for_every_kind() -> None:
    first, *others = (status(load(path))["conditions"] for path in FILES)
    assert all(other == first for other in others)


BROKEN: list[tuple[Rule, str, Spoiler]] = [
    (crd_rules.typed, "has no type", add({})),
    (crd_rules.typed, "structural", add({"type": "string", "nullable": True})),
    (crd_rules.described, "no description", lambda crd: spec(crd)["properties"]["reason"].pop("description")),
    (crd_rules.described, "starts with", add({"type": "string", "description": "Some other words."})),
    (crd_rules.described, "no sentence", add({"type": "string", "description": "extra is cut o"})),
    (crd_rules.no_floats, "float", add({"type": "number"})),
    (crd_rules.no_booleans, "boolean", add({"type": "boolean"})),
    (crd_rules.bounded_integers, "format", add({"type": "integer", "minimum": 0})),
    (crd_rules.bounded_integers, "minimum", add({"type": "integer", "format": "int32"})),
    (crd_rules.bounded_strings, "maxLength", add({"type": "string"})),
    (crd_rules.bounded_strings, "maxLength", add({"x-kubernetes-int-or-string": True})),
    (crd_rules.bounded_collections, "maxItems", add({"type": "array", "items": {"type": "string"}})),
    (
        crd_rules.bounded_collections,
        "maxProperties",
        add({"type": "object", "additionalProperties": {"type": "string"}}),
    ),
    (crd_rules.simple_maps, "map of objects", add({"type": "object", "additionalProperties": {"type": "object"}})),
    (crd_rules.simple_maps, "map of objects", add({"type": "object", "additionalProperties": True})),
    (crd_rules.list_types, "list-type", add({"type": "array", "items": {"type": "string"}})),
    (
        crd_rules.list_types,
        "keys",
        add({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
    ),
    (crd_rules.camel_case_enums, "CamelCase", add({"type": "string", "enum": ["not-so"]})),
    (crd_rules.names, "camelCase", add({"type": "string"}, name="Extra")),
    (crd_rules.names, "phase", add({"type": "string"}, name="phase")),
    (crd_rules.names, "Time", add({"type": "string"}, name="seenTimestamp")),
    (crd_rules.defaults, "both", lambda crd: spec(crd)["properties"]["reason"].__setitem__("default", "none")),
    (crd_rules.defaults, "no field", lambda crd: spec(crd)["required"].append("nothing")),
    (
        crd_rules.plain_rules,
        "plain words",
        add({"type": "string", "x-kubernetes-validations": [{"rule": "self != 'x'"}]}),
    ),
    (
        crd_rules.plain_rules,
        "plain words",
        add({"type": "string", "x-kubernetes-validations": [{"rule": "self", "message": "failed rule: self.a == 1"}]}),
    ),
    (
        crd_rules.amounts,
        "not checked",
        lambda crd: spec(crd)["properties"]["resources"]["additionalProperties"].pop("x-kubernetes-validations"),
    ),
    (
        crd_rules.amounts,
        "differ",
        add({"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": True}}, name="second"),
    ),
    (crd_rules.conditions, "observedGeneration", lambda crd: status(crd).pop("observedGeneration")),
    (crd_rules.conditions, "no conditions", lambda crd: status(crd).pop("conditions")),
    (crd_rules.conditions, "list-map", lambda crd: status(crd)["conditions"].pop("x-kubernetes-list-map-keys")),
    (crd_rules.conditions, "standard", lambda crd: status(crd)["conditions"]["items"]["required"].remove("reason")),
    (
        crd_rules.conditions,
        "Unknown",
        lambda crd: status(crd)["conditions"]["items"]["properties"]["status"].pop("enum"),
    ),
    (crd_rules.status_subresource, "no status", lambda crd: version(crd).pop("subresources")),
    (crd_rules.printer_columns, "default columns", lambda crd: version(crd).pop("additionalPrinterColumns")),
    (crd_rules.printer_columns, "Ready", lambda crd: version(crd)["additionalPrinterColumns"][2].update(name="Fine")),
    (
        crd_rules.printer_columns,
        "description",
        lambda crd: version(crd)["additionalPrinterColumns"][0].pop("description"),
    ),
    (
        crd_rules.printer_columns,
        "does not exist",
        lambda crd: version(crd)["additionalPrinterColumns"][1].update(jsonPath=".spec.resourses"),
    ),
    (crd_rules.listed_names, "category", lambda crd: crd["spec"]["names"].pop("categories")),
    (crd_rules.listed_names, "short name", lambda crd: crd["spec"]["names"].update(shortNames=[])),
    (crd_rules.listed_names, "plural", lambda crd: crd["metadata"].update(name="requests.yunchi.io")),
]


@pytest.mark.parametrize(("rule", "words", "spoil"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_the_rule_can_fail(rule: Rule, words: str, spoil: Spoiler) -> None:
    crd = load(ROOT / "crds" / "quotarequests.yaml")
    spoil(crd)
    assert any(words in finding for finding in rule(crd))


def test_every_rule_is_shown_to_fail() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)
