"""Which nodes a volume can be reached from, and which volumes a claim can take: kube-scheduler's rules, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from yunchi_operator.api.core import NodeSelectorTerm
from yunchi_operator.api.kinds import LabelSelector
from yunchi_operator.api.quantities import amount
from yunchi_operator.api.volumes import CSIStorageCapacity, PersistentVolume, PersistentVolumeClaim, StorageClass
from yunchi_operator.scheduling.selectors import Selector, compiled, matches
from yunchi_placement import NodeTerm, Requirement
from yunchi_placement.problem import as_int

Terms = tuple[NodeTerm, ...]
"""Terms of which one must match a node; without any, no node matches. ``Terms | None``: None is every node."""

_ZONE: Final = "topology.kubernetes.io/zone"
_REGION: Final = "topology.kubernetes.io/region"
_MODERN: Final = {
    "failure-domain.beta.kubernetes.io/zone": _ZONE,
    "failure-domain.beta.kubernetes.io/region": _REGION,
    _ZONE: _ZONE,
    _REGION: _REGION,
}
"""The labels that tie a volume to zones, and the present name of each."""
_NO_ZONE: Final = NodeTerm(tuple(Requirement(key, "DoesNotExist") for key in _MODERN))
_MOST_PAIRS: Final = 50_000


def union(terms: Iterable[NodeTerm]) -> Terms:
    """The same alternatives in fewer terms: a thousand local disks become one list of host names."""
    values: dict[str, dict[str, None]] = {}
    others: dict[NodeTerm, None] = {}
    for term in terms:
        if not term.fields and len(term.labels) == 1 and term.labels[0].operator == "In":
            values.setdefault(term.labels[0].key, {}).update(dict.fromkeys(term.labels[0].values))
        else:
            others[term] = None
    merged = (NodeTerm((Requirement(key, "In", tuple(found)),)) for key, found in values.items())
    return (*merged, *others)


def conjunction(entries: Iterable[Terms], most: int) -> Terms | None:
    """The terms of which one must match so that one of every entry does; what contradicts itself is left out.

    Returns:
        None when there would be more than ``most`` terms, or when finding them would take too long.
    """
    ordered = sorted(entries, key=len)
    terms = ordered[0] if ordered else ()
    for entry in ordered[1:]:
        if len(terms) * len(entry) > _MOST_PAIRS:
            return None
        pairs = (_both(one, other) for one in terms for other in entry)
        terms = tuple(dict.fromkeys(term for term in pairs if term is not None))
    return terms if len(terms) <= most else None


def _both(one: NodeTerm, other: NodeTerm) -> NodeTerm | None:
    """Both terms as one, or None if no node can match them."""
    labels = _all_of((*one.labels, *other.labels))
    fields = _all_of((*one.fields, *other.fields))
    return None if labels is None or fields is None else NodeTerm(labels, fields)


def _all_of(requirements: Iterable[Requirement]) -> tuple[Requirement, ...] | None:
    """The requirements without repetition, or None if they contradict each other."""
    kept: dict[tuple[str, str, tuple[str, ...]], Requirement] = {}
    for new in requirements:
        slot = (new.key, new.operator, () if new.operator == "In" else new.values)
        old = kept.get(slot)
        if old is not None and new.operator == "In":
            allowed = frozenset(new.values)
            shared = tuple(value for value in old.values if value in allowed)
            if not shared:
                return None
            kept[slot] = Requirement(new.key, "In", shared)
        else:
            kept[slot] = new
    absent = {one.key for one in kept.values() if one.operator == "DoesNotExist"}
    present = {one.key for one in kept.values() if one.operator in ("In", "Exists")}
    return None if absent & present else tuple(kept.values())


def any_holds(terms: Terms | None, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node of that name and those labels matches."""
    return terms is None or any(
        all(_holds(one, labels.get(one.key)) for one in term.labels)
        and all(_holds(one, name) for one in term.fields)
        and bool(term.labels or term.fields)
        for term in terms
    )


def _holds(requirement: Requirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            number, limit = as_int(value or ""), as_int(requirement.values[0])
            if number is None or limit is None:
                return False
            return number > limit if operator == "Gt" else number < limit


# -- where a volume can be reached from -------------------------------------------------------------------------------


def affinity_terms(volume: PersistentVolume) -> Terms | None:
    """A volume's node affinity.

    As in kube-scheduler, a term that cannot be read matches no node, and a test of a node's field always holds: a
    volume is compared with labels only.
    """
    affinity = volume.spec.node_affinity
    if affinity is None or affinity.required is None:
        return None
    terms = [term for term in affinity.required.node_selector_terms if _is_readable(term)]
    if any(not term.match_expressions for term in terms):
        return None
    return union(
        NodeTerm(tuple(Requirement(one.key, one.operator, one.values) for one in term.match_expressions))
        for term in terms
    )


def _is_readable(term: NodeSelectorTerm) -> bool:
    """Whether a term is neither empty nor malformed."""
    fields = all(one.operator in ("In", "NotIn") and len(one.values) == 1 for one in term.match_fields)
    labels = all(_is_test(one.operator, one.values) for one in term.match_expressions)
    return fields and labels and bool(term.match_expressions or term.match_fields)


def _is_test(operator: str, values: Sequence[str], *, ordered: bool = True) -> bool:
    """Whether an operator exists and has the values that it needs; only node selectors know Gt and Lt."""
    if operator in ("Gt", "Lt"):
        return ordered and len(values) == 1 and as_int(values[0]) is not None
    return bool(values) if operator in ("In", "NotIn") else operator in ("Exists", "DoesNotExist") and not values


def zone_terms(volume: PersistentVolume) -> Terms | None:
    """What a bound volume's zone and region labels ask of a node; nothing of one that has no such label at all.

    An old label is compared with the node's old label, or with the new one if the node lacks the old. A value may
    list several zones (``a__b``); a list with an empty zone is ignored.
    """
    asked: list[Terms] = []
    for key, modern in _MODERN.items():
        zones = tuple(dict.fromkeys(zone.strip() for zone in volume.metadata.labels.get(key, "").split("__")))
        if "" in zones:
            continue
        options = [NodeTerm((Requirement(key, "In", zones),))]
        if key != modern:
            options.append(NodeTerm((Requirement(key, "DoesNotExist"), Requirement(modern, "In", zones))))
        asked.append(tuple(options))
    return union((_NO_ZONE, *(conjunction(asked, _MOST_PAIRS) or ()))) if asked else None


# -- where a volume can be made ---------------------------------------------------------------------------------------


def topology_terms(storage_class: StorageClass) -> Terms | None:
    """Where a class lets its provisioner make volumes; a term that is empty or malformed permits nothing."""
    if not storage_class.allowed_topologies:
        return None
    listed = (term.match_label_expressions for term in storage_class.allowed_topologies)
    return union(
        NodeTerm(tuple(Requirement(one.key, "In", one.values) for one in tests))
        for tests in listed
        if tests and all(one.values for one in tests)
    )


def room_terms(claim: PersistentVolumeClaim, class_name: str, capacities: Iterable[CSIStorageCapacity]) -> Terms | None:
    """Where a driver that tells its room (CSIDriver.spec.storageCapacity) has enough of it for one new volume.

    Raises:
        ValueError: the claim's size cannot be read.
    """
    wanted = claim.spec.resources.requests.get("storage")
    if wanted is None:
        return None
    size, terms = amount(wanted), []
    for one in capacities:
        # A driver that serves many classes lists thousands of these: the class is the cheapest test.
        if one.storage_class_name != class_name or one.node_topology is None or one.largest < size:
            continue
        tests = _selector_tests(one.node_topology)
        if tests == ():
            return None
        if tests is not None:
            terms.append(NodeTerm(tests))
    return union(terms)


def _selector_tests(selector: LabelSelector) -> tuple[Requirement, ...] | None:
    """A label selector in the engine's values, or None if it is malformed."""
    if not _is_selector(selector):
        return None
    exact = (Requirement(key, "In", (value,)) for key, value in sorted(selector.match_labels.items()))
    return (*exact, *(Requirement(one.key, one.operator, one.values) for one in selector.match_expressions))


def _is_selector(selector: LabelSelector) -> bool:
    return all(_is_test(one.operator, one.values, ordered=False) for one in selector.match_expressions)


# -- which volumes a claim can take -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a claim asks of a volume."""

    size: Fraction
    mode: str
    attributes: str
    access: frozenset[str]
    selector: Selector | None


def is_kept_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether a volume names this claim as its own: bound to it, or to be bound to no other."""
    ref = volume.spec.claim_ref
    if ref is None or f"{ref.namespace or 'default'}/{ref.name}" != claim.key:
        return False
    return ref.uid in ("", claim.metadata.uid)


def candidates(claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume]) -> tuple[PersistentVolume, ...]:
    """The volumes that an unbound claim could take, smallest first, by name if equal; nodes are not looked at.

    A volume that is kept for the claim stands alone: kube-scheduler considers no other then, and does not mind its
    phase, access modes and labels.

    Raises:
        ValueError: the claim's size or selector cannot be read.
    """
    wish, name = _wish(claim), claim.class_name
    kept: list[tuple[str, PersistentVolume]] = []
    free: list[tuple[Fraction, str, PersistentVolume]] = []
    for volume in volumes:
        if volume.class_name != name or (volume.spec.claim_ref is not None and not is_kept_for(volume, claim)):
            continue
        size = _fitting_size(volume, wish)
        if size is None:
            continue
        if volume.spec.claim_ref is not None:
            kept.append((volume.metadata.name, volume))
        elif _is_free(volume, wish):
            free.append((size, volume.metadata.name, volume))
    if kept:
        return (min(kept)[1],)
    return tuple(volume for _, _, volume in sorted(free, key=lambda one: one[:2]))


def _wish(claim: PersistentVolumeClaim) -> _Wish:
    spec = claim.spec
    if spec.selector is not None and not _is_selector(spec.selector):
        raise ValueError("its selector has an operator that does not exist, or one without the values it needs")
    return _Wish(
        size=claim.size,
        mode=spec.volume_mode or "Filesystem",
        attributes=spec.volume_attributes_class_name or "",
        access=frozenset(spec.access_modes),
        selector=None if spec.selector is None else compiled(spec.selector),
    )


def _fitting_size(volume: PersistentVolume, wish: _Wish) -> Fraction | None:
    """A volume's bytes if it is of the wanted kind and large enough."""
    spec = volume.spec
    if volume.metadata.deletion_timestamp is not None or (spec.volume_mode or "Filesystem") != wish.mode:
        return None
    if (spec.volume_attributes_class_name or "") != wish.attributes:
        return None
    try:
        size = volume.size
    except ValueError:  # the API server admits no such volume; one from a file is worth nothing
        return None
    return size if size >= wish.size else None


def _is_free(volume: PersistentVolume, wish: _Wish) -> bool:
    if volume.status.phase != "Available" or not wish.access.issubset(volume.spec.access_modes):
        return False
    return wish.selector is None or matches(wish.selector, volume.metadata.labels)
