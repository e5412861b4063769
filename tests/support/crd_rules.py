"""The rules of kube-api-linter that make sense for CRDs written by hand, and a few of our own.

Each rule takes a CRD and yields what is wrong with it, as "path: words". The linter itself reads Go types only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Crd = Mapping[str, Any]
Schema = Mapping[str, Any]
Rule = Callable[[Crd], Iterator[str]]

CONDITION_FIELDS = {"type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"}
CONDITION_REQUIRED = {"type", "status", "lastTransitionTime", "reason", "message"}
DEFAULT_COLUMNS = range(3, 6)


@dataclass(frozen=True, slots=True)
class Field:
    """One schema inside a CRD.

    Attributes:
        path: dotted path from the root; ``[]`` for the items of a list, ``{}`` for the values of a map.
        name: name of the property; empty for items, values and the root.
        schema: the schema itself.
        parent: the schema that holds it.
    """

    path: str
    name: str
    schema: Schema
    parent: Schema


def fields(crd: Crd) -> Iterator[Field]:
    """Every schema in every version of a CRD, the root included."""
    for version in crd["spec"]["versions"]:
        root = version["schema"]["openAPIV3Schema"]
        yield from _walk(Field(crd["spec"]["names"]["kind"], "", root, {}))


def _walk(field: Field) -> Iterator[Field]:
    yield field
    for name, schema in field.schema.get("properties", {}).items():
        yield from _walk(Field(f"{field.path}.{name}", name, schema, field.schema))
    if items := field.schema.get("items"):
        yield from _walk(Field(f"{field.path}[]", "", items, field.schema))
    values = field.schema.get("additionalProperties")
    if isinstance(values, Mapping):
        yield from _walk(Field(f"{field.path}{{}}", "", values, field.schema))


def _is_quantity(schema: Schema) -> bool:
    return schema.get("x-kubernetes-int-or-string") is True


def _is_map(schema: Schema) -> bool:
    return "additionalProperties" in schema


def typed(crd: Crd) -> Iterator[str]:
    """Every schema is structural: it has one type, or is a quantity."""
    for field in fields(crd):
        if "type" not in field.schema and not _is_quantity(field.schema):
            yield f"{field.path}: has no type"
        for illegal in ("$ref", "const", "oneOf", "allOf", "not", "nullable"):
            if illegal in field.schema:
                yield f"{field.path}: {illegal} does not belong in a structural schema"


def described(crd: Crd) -> Iterator[str]:
    """Every property and every object is described; a property's text starts with its name."""
    for field in fields(crd):
        text = field.schema.get("description", "")
        if (field.name or field.schema.get("type") == "object") and not text:
            yield f"{field.path}: has no description"
        elif field.name and not re.match(rf"{re.escape(field.name)}\b", text):
            yield f"{field.path}: the description starts with other words than {field.name!r}"
        if text and not text.rstrip().endswith("."):
            yield f"{field.path}: the description is no sentence"


def no_floats(crd: Crd) -> Iterator[str]:
    """No floating point: it rounds, and differs between languages."""
    return (
        f"{f.path}: is a float; use a quantity or a decimal string"
        for f in fields(crd)
        if f.schema.get("type") == "number"
    )


def no_booleans(crd: Crd) -> Iterator[str]:
    """No booleans: they cannot grow a third value."""
    return (f"{f.path}: is a boolean; use an enum" for f in fields(crd) if f.schema.get("type") == "boolean")


def bounded_integers(crd: Crd) -> Iterator[str]:
    """Integers have a format and a least value."""
    for field in fields(crd):
        if field.schema.get("type") == "integer":
            if field.schema.get("format") not in {"int32", "int64"}:
                yield f"{field.path}: an integer needs format int32 or int64"
            if "minimum" not in field.schema:
                yield f"{field.path}: an integer needs a minimum"


def bounded_strings(crd: Crd) -> Iterator[str]:
    """Strings and quantities have a greatest length, an enum or a date."""
    for field in fields(crd):
        bounded = {"maxLength", "enum"} & field.schema.keys() or field.schema.get("format") == "date-time"
        if (field.schema.get("type") == "string" or _is_quantity(field.schema)) and not bounded:
            yield f"{field.path}: a string needs maxLength"


def bounded_collections(crd: Crd) -> Iterator[str]:
    """Lists and maps have a greatest size."""
    for field in fields(crd):
        if field.schema.get("type") == "array" and "maxItems" not in field.schema:
            yield f"{field.path}: a list needs maxItems"
        if _is_map(field.schema) and "maxProperties" not in field.schema:
            yield f"{field.path}: a map needs maxProperties"


def simple_maps(crd: Crd) -> Iterator[str]:
    """Maps hold strings or quantities; things with fields are lists keyed by name."""
    for field in fields(crd):
        values = field.schema.get("additionalProperties", {"type": "string"})
        if not isinstance(values, Mapping) or not (values.get("type") == "string" or _is_quantity(values)):
            yield f"{field.path}: a map of objects; make it a list with x-kubernetes-list-map-keys"


def list_types(crd: Crd) -> Iterator[str]:
    """Every list says how server-side apply merges it."""
    for field in fields(crd):
        if field.schema.get("type") != "array":
            continue
        kind, keys = field.schema.get("x-kubernetes-list-type"), field.schema.get("x-kubernetes-list-map-keys", [])
        if kind not in {"set", "map", "atomic"}:
            yield f"{field.path}: a list needs x-kubernetes-list-type"
        if kind == "map" and not (keys and set(keys) <= set(field.schema["items"].get("required", []))):
            yield f"{field.path}: a list-map needs keys that are required in its items"


def camel_case_enums(crd: Crd) -> Iterator[str]:
    """Values of enums are CamelCase words."""
    for field in fields(crd):
        for value in field.schema.get("enum", []):
            if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", str(value)):
                yield f"{field.path}: {value!r} is no CamelCase word"


def names(crd: Crd) -> Iterator[str]:
    """Fields are camelCase; no phase, no duration, no ...Timestamp, no ...Reference."""
    for field in fields(crd):
        if not field.name:
            continue
        if not re.fullmatch(r"[a-z][A-Za-z0-9]*", field.name):
            yield f"{field.path}: is no camelCase name"
        if (
            re.search(r"^phase$|Timestamp$|Reference$|Duration$", field.name)
            or field.schema.get("format") == "duration"
        ):
            yield f"{field.path}: use conditions for a phase, ...Time, ...Ref, and units in names (timeoutSeconds)"


def defaults(crd: Crd) -> Iterator[str]:
    """Nothing is both required and defaulted, and what is required exists."""
    for field in fields(crd):
        properties, required = field.schema.get("properties", {}), field.schema.get("required", [])
        for name in required:
            if name not in properties:
                yield f"{field.path}: requires {name}, which is no field"
            elif "default" in properties[name]:
                yield f"{field.path}.{name}: is both required and defaulted"


def plain_rules(crd: Crd) -> Iterator[str]:
    """Every CEL rule has a message for people, that is not the rule again."""
    for field in fields(crd):
        for rule in field.schema.get("x-kubernetes-validations", []):
            message = rule.get("message", "")
            if len(message.split()) < 4 or "self." in message or "==" in message:
                yield f"{field.path}: the rule {rule['rule']!r} needs a message in plain words"


def amounts(crd: Crd) -> Iterator[str]:
    """Every map of quantities in a spec refuses unknown units and negative amounts, all in the same words."""
    found = [
        f
        for f in fields(crd)
        if _is_map(f.schema) and ".spec." in f.path and _is_quantity(f.schema["additionalProperties"])
    ]
    for field in found:
        checks = field.schema["additionalProperties"].get("x-kubernetes-validations", [])
        if not ("isQuantity" in str(checks) and "isLessThan" in str(checks)):
            yield f"{field.path}: amounts are not checked; copy the rules of another map of amounts"
        if field.schema.get("x-kubernetes-validations") != found[0].schema.get("x-kubernetes-validations"):
            yield f"{field.path}: its rules differ from those of {found[0].path}"


def conditions(crd: Crd) -> Iterator[str]:
    """status.conditions is the standard list-map, and status.observedGeneration is there."""
    by_path = {field.path: field for field in fields(crd)}
    root = f"{crd['spec']['names']['kind']}.status"
    if f"{root}.observedGeneration" not in by_path:
        yield f"{root}: has no observedGeneration"
    listed = by_path.get(f"{root}.conditions")
    if listed is None:
        yield f"{root}: has no conditions"
        return
    schema = listed.schema
    if schema.get("x-kubernetes-list-type") != "map" or schema.get("x-kubernetes-list-map-keys") != ["type"]:
        yield f"{listed.path}: must be a list-map keyed by type"
    items = schema.get("items", {})
    if set(items.get("properties", {})) != CONDITION_FIELDS or set(items.get("required", [])) != CONDITION_REQUIRED:
        yield f"{listed.path}: is not the standard condition"
    elif items["properties"]["status"].get("enum") != ["True", "False", "Unknown"]:
        yield f"{listed.path}: status must be True, False or Unknown"


def status_subresource(crd: Crd) -> Iterator[str]:
    """Status is a subresource, so that who writes the spec cannot write it."""
    for version in crd["spec"]["versions"]:
        if "status" not in version.get("subresources", {}):
            yield f"{crd['metadata']['name']}/{version['name']}: has no status subresource"


def printer_columns(crd: Crd) -> Iterator[str]:
    """Three to five columns by default, with Ready, Reason and Age; each described and each with a real path."""
    for version in crd["spec"]["versions"]:
        columns = version.get("additionalPrinterColumns", [])
        default = [column["name"] for column in columns if not column.get("priority")]
        where = f"{crd['metadata']['name']}/{version['name']}"
        if len(default) not in DEFAULT_COLUMNS:
            yield f"{where}: {len(default)} default columns"
        if not {"Ready", "Reason", "Age"} <= set(default):
            yield f"{where}: Ready, Reason and Age belong to the default columns"
        paths = {field.path.partition(".")[2] for field in fields(crd)} | {"metadata.creationTimestamp"}
        for column in columns:
            if not column.get("description"):
                yield f"{where}: column {column['name']} has no description"
            shown = re.sub(r"\[\?\(.*?\)\]", "[]", column["jsonPath"]).lstrip(".")
            if not {shown, f"{shown.rpartition('.')[0]}{{}}"} & paths:  # a field, or a key of a map
                yield f"{where}: column {column['name']} shows a field that does not exist"


def listed_names(crd: Crd) -> Iterator[str]:
    """The kind belongs to the category, has a short name, and its CRD is named as Kubernetes wants it."""
    kind = crd["spec"]["names"]
    if kind.get("categories") != ["yunchi"]:
        yield f"{kind['kind']}: belongs in the category yunchi"
    if not kind.get("shortNames"):
        yield f"{kind['kind']}: has no short name"
    if crd["metadata"]["name"] != f"{kind['plural']}.{crd['spec']['group']}":
        yield f"{kind['kind']}: metadata.name must be <plural>.<group>"


RULES: tuple[Rule, ...] = (
    typed,
    described,
    no_floats,
    no_booleans,
    bounded_integers,
    bounded_strings,
    bounded_collections,
    simple_maps,
    list_types,
    camel_case_enums,
    names,
    defaults,
    plain_rules,
    amounts,
    conditions,
    status_subresource,
    printer_columns,
    listed_names,
)
