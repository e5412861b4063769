"""Who and what the Jiangsu example is made of: prefectures, kinds of hosts, departments. Data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

API = "yunchi.io/v1alpha1"
PROVINCE = "320000"
SYSTEM_NAMESPACE = "yunchi-system"
MEMBER = "320500"  # Suzhou's cloud is a Kubernetes cluster of its own; the other twelve are host lists
GROWING = "suzhou-health"  # the department that asks for more in the demo
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prefecture:
    """One of the province's prefectures.

    Attributes:
        hosts: number of machines of its cloud.
    """

    code: str
    zh: str
    pinyin: str
    hosts: int


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of host.

    Attributes:
        cores: CPUs that Kubernetes sees (threads where the chip has SMT).
        memory_gib: memory in GiB.
        cost: relative cost per node, a decimal string.
        factor: performance per Kubernetes CPU, Kunpeng 920 = 1.00, low confidence.
        share: part of the province's hosts.
        extended: extended resources, such as accelerator cards.
    """

    pool: str
    vendor: str
    model: str
    arch: str
    cores: int
    memory_gib: int
    cost: str
    factor: str
    share: float
    extended: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """A department of one prefecture."""

    name: str
    zh: str
    en: str
    namespace: str
    division: str
    prefecture: Prefecture


PREFECTURES = (
    Prefecture("320100", "南京市", "nanjing", 22),
    Prefecture("320200", "无锡市", "wuxi", 13),
    Prefecture("320300", "徐州市", "xuzhou", 10),
    Prefecture("320400", "常州市", "changzhou", 11),
    Prefecture("320500", "苏州市", "suzhou", 22),
    Prefecture("320600", "南通市", "nantong", 13),
    Prefecture("320700", "连云港市", "lianyungang", 8),
    Prefecture("320800", "淮安市", "huaian", 8),
    Prefecture("320900", "盐城市", "yancheng", 9),
    Prefecture("321000", "扬州市", "yangzhou", 10),
    Prefecture("321100", "镇江市", "zhenjiang", 9),
    Prefecture("321200", "泰州市", "taizhou", 9),
    Prefecture("321300", "宿迁市", "suqian", 6),
)
COUNTIES = {"320583": ("320500", "昆山市", "Kunshan"), "320282": ("320200", "宜兴市", "Yixing")}

MACHINES = (
    Machine("kunpeng-128", "Huawei", "Kunpeng-920", "arm64", 128, 512, "13", "1.00", 0.28),
    Machine("kunpeng-96", "Huawei", "Kunpeng-920", "arm64", 96, 384, "10", "1.00", 0.17),
    Machine("phytium-128", "Phytium", "S2500", "arm64", 128, 512, "11", "0.65", 0.15),
    Machine("hygon-128", "Hygon", "C86-7285", "amd64", 128, 512, "14", "0.90", 0.20),
    Machine("zhaoxin-64", "Zhaoxin", "KH-40000", "amd64", 64, 256, "8", "0.80", 0.05),
    Machine("loongson-32", "Loongson", "3C5000", "loong64", 32, 256, "6", "0.90", 0.06),
    Machine("loongson-64", "Loongson", "3D5000", "loong64", 64, 256, "9", "0.90", 0.04),
    Machine("xeon-48", "Intel", "Xeon-legacy", "amd64", 48, 192, "9", "0.80", 0.05),
)
ASCEND = Machine(
    "ascend-192", "Huawei", "Kunpeng-920", "arm64", 192, 1024, "90", "1.00", 0.0, {"huawei.com/Ascend910": 8}
)
DEPARTMENTS = (
    ("ga", "公安局", "Public Security"),
    ("hrss", "人力资源和社会保障局", "Human Resources and Social Security"),
    ("health", "卫生健康委员会", "Health Commission"),
    ("edu", "教育局", "Education"),
    ("fin", "财政局", "Finance"),
    ("natres", "自然资源局", "Natural Resources"),
    ("transport", "交通运输局", "Transport"),
    ("data", "数据局", "Data Bureau"),
)
