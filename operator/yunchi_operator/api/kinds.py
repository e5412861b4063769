"""Typed views of the six kinds, as an API server serves them.

The CRDs in ``crds/`` are the source of truth; these structs read them leniently: unknown fields are skipped and absent
ones take the schema's defaults, so that a newer CRD never stops an older operator.
"""

from __future__ import annotations

from typing import Final

import msgspec

ResourceList = dict[str, str | int]
"""Resource name to Kubernetes quantity, such as ``{"cpu": "2", "memory": "4Gi"}``."""


class _View(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of all views: frozen, camelCase on the wire."""


class OwnerReference(_View, frozen=True):
    """The object that made this one."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(_View, frozen=True):
    """The used part of ``ObjectMeta``."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Condition(_View, frozen=True):
    """One standard condition; times are RFC 3339 in UTC with whole seconds."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class Names(_View, frozen=True):
    """What people call it."""

    zh: str = ""
    en: str = ""


# -- Division ---------------------------------------------------------------------------------------------------------


class Share(_View, frozen=True):
    """A division's share of the pool."""

    guarantee: ResourceList = {}
    weight: int = 1
    borrowing_limit: ResourceList = {}
    lending_limit: ResourceList = {}


class ApprovalThreshold(_View, frozen=True):
    """The largest growth that a division may approve alone."""

    up_to: ResourceList = {}


class DivisionSpec(_View, frozen=True):
    """See ``kubectl explain division.spec``."""

    code: str
    level: str
    parent: str | None = None
    names: Names = Names()
    share: Share = Share()
    approval: ApprovalThreshold = ApprovalThreshold()


class DivisionStatus(_View, frozen=True):
    """What the operator found out about a division."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0


class Division(_View, frozen=True):
    """An administrative division by its GB/T 2260 code."""

    metadata: Metadata
    spec: DivisionSpec
    status: DivisionStatus = DivisionStatus()


# -- Department -------------------------------------------------------------------------------------------------------


class Subject(_View, frozen=True):
    """A user or group that runs a department's workloads."""

    kind: str
    name: str


class DepartmentSpec(_View, frozen=True):
    """See ``kubectl explain department.spec``."""

    division: str
    namespaces: tuple[str, ...]
    names: Names = Names()
    admins: tuple[Subject, ...] = ()
    mlps_level: int = 2
    secrecy: str = "Unclassified"
    data_level: str = "L2"
    network_zone: str = "Extranet"
    architectures: tuple[str, ...] = ()
    base_quota: ResourceList = msgspec.field(default_factory=lambda: {"cpu": "2", "memory": "4Gi", "pods": "20"})


class DepartmentStatus(_View, frozen=True):
    """Which namespaces a department really holds."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    namespaces: tuple[str, ...] = ()


class Department(_View, frozen=True):
    """A unit of a division, with its namespaces."""

    metadata: Metadata
    spec: DepartmentSpec
    status: DepartmentStatus = DepartmentStatus()


# -- QuotaRequest and Approval ----------------------------------------------------------------------------------------


class QuotaRequestSpec(_View, frozen=True):
    """See ``kubectl explain quotarequest.spec``."""

    resources: ResourceList
    reason: str = ""
    until: str | None = None
    requester: str = ""


class ApprovedBy(_View, frozen=True):
    """One division's yes."""

    division: str
    approver: str
    approval: str


class QuotaRequestStatus(_View, frozen=True):
    """The state of a request; ``granted`` is what the ledger adds to the namespace's quota."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    required_divisions: tuple[str, ...] = ()
    approved_by: tuple[ApprovedBy, ...] = ()
    granted: ResourceList = {}
    granted_generation: int | None = None
    granted_until: str | None = None


class QuotaRequest(_View, frozen=True):
    """What a department asks for one of its namespaces."""

    metadata: Metadata
    spec: QuotaRequestSpec
    status: QuotaRequestStatus = QuotaRequestStatus()


class ApprovalTarget(_View, frozen=True):
    """The object, at one generation, that an approval is about."""

    name: str
    generation: int
    kind: str = "QuotaRequest"
    namespace: str = ""


class ApprovalSpec(_View, frozen=True):
    """See ``kubectl explain approval.spec``."""

    division: str
    approver: str
    target: ApprovalTarget
    decision: str
    comment: str = ""


class ApprovalStatus(_View, frozen=True):
    """Whether an approval counts; ``targetUID`` binds it to the object it was first seen with."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    target_uid: str | None = msgspec.field(default=None, name="targetUID")


class Approval(_View, frozen=True):
    """One approver's yes or no."""

    metadata: Metadata
    spec: ApprovalSpec
    status: ApprovalStatus = ApprovalStatus()


# -- NodePool ---------------------------------------------------------------------------------------------------------


class SelectorRequirement(_View, frozen=True):
    """One expression of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(_View, frozen=True):
    """A Kubernetes label selector; empty selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[SelectorRequirement, ...] = ()


class Hardware(_View, frozen=True):
    """What the nodes of a pool are made of."""

    vendor: str = ""
    cpu_model: str = ""
    architecture: str = ""


class Performance(_View, frozen=True):
    """Speed per core against the reference, and how sure that is."""

    factor: str = "1"
    source: str = ""
    confidence: str = "Low"


class NodePoolSpec(_View, frozen=True):
    """See ``kubectl explain nodepool.spec``."""

    node_selector: LabelSelector = LabelSelector()
    cost: str = "1"
    hardware: Hardware = Hardware()
    performance: Performance = Performance()
    zone_key: str = "topology.kubernetes.io/zone"
    network_zone: str | None = None


class NodePoolStatus(_View, frozen=True):
    """Written by the scheduler process."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    nodes: int = 0
    nodes_in_use: int = 0
    allocatable: ResourceList = {}
    requested: ResourceList = {}


class NodePool(_View, frozen=True):
    """A set of nodes with what they cost."""

    metadata: Metadata
    spec: NodePoolSpec
    status: NodePoolStatus = NodePoolStatus()


# -- CloudTenancy -----------------------------------------------------------------------------------------------------


class KubeconfigSecretRef(_View, frozen=True):
    """The Secret that holds a member cluster's kubeconfig."""

    name: str
    key: str = "kubeconfig"


class HostListConfigMapRef(_View, frozen=True):
    """The ConfigMap that holds a host list."""

    name: str
    key: str = "hosts.csv"


class TenancySource(_View, frozen=True):
    """Where the inventory comes from; exactly one is set."""

    kubeconfig_secret_ref: KubeconfigSecretRef | None = None
    host_list_config_map_ref: HostListConfigMapRef | None = None


class CloudTenancySpec(_View, frozen=True):
    """See ``kubectl explain cloudtenancy.spec``."""

    division: str
    source: TenancySource
    mode: str = "Observe"
    interval_seconds: int = 300


class ArchitectureCount(_View, frozen=True):
    """Nodes and cores of one architecture."""

    architecture: str
    nodes: int
    cpu: str | int


class Inventory(_View, frozen=True):
    """What a tenancy has; the ``used`` and ``requested`` parts are absent where they are not known."""

    nodes: int = 0
    workloads: int = 0
    cpu: str | int = "0"
    memory: str | int = "0"
    cpu_requested: str | int | None = None
    memory_requested: str | int | None = None
    cpu_used: str | int | None = None
    memory_used: str | int | None = None
    cpu_used_percent: int | None = None
    cpu_requested_percent: int | None = None
    architectures: tuple[ArchitectureCount, ...] = ()


class CloudTenancyStatus(_View, frozen=True):
    """The last good inventory and how the last look went."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    last_observed_time: str | None = None
    inventory: Inventory | None = None


class CloudTenancy(_View, frozen=True):
    """A prefecture's existing cloud."""

    metadata: Metadata
    spec: CloudTenancySpec
    status: CloudTenancyStatus = CloudTenancyStatus()


Kind = Division | Department | QuotaRequest | Approval | NodePool | CloudTenancy
"""Any of our objects."""

PLURALS: Final[dict[str, str]] = {
    "Division": "divisions",
    "Department": "departments",
    "QuotaRequest": "quotarequests",
    "Approval": "approvals",
    "NodePool": "nodepools",
    "CloudTenancy": "cloudtenancies",
}
"""Resource names in URLs, by kind."""

NAMESPACED: Final = frozenset({"QuotaRequest"})
"""Kinds that live in a namespace."""
