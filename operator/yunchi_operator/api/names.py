"""Names that travel between objects: the API group, labels, taints and annotations. One place, so they never differ."""

from typing import Final

GROUP: Final = "yunchi.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

SCHEDULER_NAME: Final = "yunchi"
"""Value of ``spec.schedulerName`` that hands a pod to Yunchi."""

DEPARTMENT_LABEL: Final = "yunchi.io/department"
"""On a namespace: the name of the Department that owns it."""
DIVISION_LABEL: Final = "yunchi.io/division"
"""On a namespace: the GB/T 2260 code of that department's division."""
POOL_TAINT: Final = "yunchi.io/pool"
"""Taint key of pooled nodes (effect NoSchedule): keeps foreign pods off; department pods get the toleration."""
DO_NOT_DISRUPT: Final = "yunchi.io/do-not-disrupt"
"""Annotation of a pod that must not be moved, when ``"true"``."""
GANG_LABEL: Final = "yunchi.io/gang"
"""Label of pods that start together or not at all; the value names the gang within the namespace."""
GANG_MIN_LABEL: Final = "yunchi.io/gang-min"
"""Label beside it: with how many members the gang may start; 1 where it is missing."""

HOSTNAME_LABEL: Final = "kubernetes.io/hostname"
ARCH_LABEL: Final = "kubernetes.io/arch"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"

FIELD_MANAGER_OPERATOR: Final = "yunchi-operator"
FIELD_MANAGER_SCHEDULER: Final = "yunchi-scheduler"
QUOTA_NAME: Final = "yunchi-quota"
"""Name of the ResourceQuota that Yunchi keeps in each department namespace."""
SYSTEM_NAMESPACE: Final = "yunchi-system"
"""Default namespace of the two processes, their Leases, and the Secrets and ConfigMaps of tenancies."""
GPU_MILLI: Final = "yunchi.io/gpu-milli"
"""Extended resource: thousandths of an accelerator card. Less than 1000 is a share that must sit on one card."""
