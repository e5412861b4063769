"""The people of the Jiangsu example: divisions, departments, approvers, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterator

from cast import (
    API,
    COUNTIES,
    DEPARTMENTS,
    MEMBER,
    PREFECTURES,
    PROVINCE,
    SYSTEM_NAMESPACE,
    Manifest,
    Prefecture,
    Unit,
)


def divisions() -> Iterator[Manifest]:
    """The province, its prefectures, and two counties, each with what it may approve alone."""
    yield _division(PROVINCE, "Province", "江苏省", "Jiangsu", None, None)
    for prefecture in PREFECTURES:
        en = prefecture.pinyin.capitalize()
        yield _division(prefecture.code, "Prefecture", prefecture.zh, en, PROVINCE, {"cpu": "64", "memory": "256Gi"})
    for code, (parent, zh, en) in COUNTIES.items():
        yield _division(code, "County", zh, en, parent, {"cpu": "16", "memory": "64Gi"})


def _division(code: str, level: str, zh: str, en: str, parent: str | None, up_to: Manifest | None) -> Manifest:
    spec: Manifest = {"code": code, "level": level, "names": {"zh": zh, "en": en}}
    if parent:
        spec["parent"] = parent
    if up_to:
        spec["approval"] = {"upTo": up_to}
    return {"apiVersion": API, "kind": "Division", "metadata": {"name": code}, "spec": spec}


def units_of() -> Iterator[Unit]:
    """Three departments in each prefecture (one more in Suzhou), and one in each of two counties: 42."""
    for position, prefecture in enumerate(PREFECTURES):
        picks = [DEPARTMENTS[(position * 3 + step) % len(DEPARTMENTS)] for step in range(3)]
        if prefecture.code == MEMBER:
            picks = [pick for pick in DEPARTMENTS if pick[0] in {"health", "hrss", "edu", "data"}]
        for short, zh, en in picks:
            yield _unit(short, zh, en, prefecture.code, prefecture.pinyin, prefecture.zh, prefecture)
    by_code = {prefecture.code: prefecture for prefecture in PREFECTURES}
    for code, (parent, zh, en) in COUNTIES.items():
        yield _unit("data", "数据局", "Data Bureau", code, en.lower(), zh, by_code[parent])


def _unit(short: str, zh: str, en: str, code: str, place: str, place_zh: str, prefecture: Prefecture) -> Unit:
    en_name = f"{place.capitalize()} {en}"
    return Unit(f"{place}-{short}", place_zh + zh, en_name, f"js-{code}-{short}", code, prefecture)


def department(unit: Unit, deployments: list[Manifest]) -> Manifest:
    """The base quota covers what the department runs today; anything more is asked for."""
    totals = _total(deployments)
    return {
        "apiVersion": API,
        "kind": "Department",
        "metadata": {"name": unit.name},
        "spec": {
            "division": unit.division,
            "names": {"zh": unit.zh, "en": unit.en},
            "admins": [{"kind": "User", "name": f"{unit.name}-admin"}],
            "namespaces": [unit.namespace],
            "mlpsLevel": 3,
            "baseQuota": totals,
        },
    }


def _total(deployments: list[Manifest]) -> dict[str, str]:
    cpu = memory = pods = 0
    extended: dict[str, int] = {}
    for deployment in deployments:
        replicas = deployment["spec"]["replicas"]
        requests = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        cpu += replicas * int(requests["cpu"])
        memory += replicas * int(requests["memory"].removesuffix("Gi"))
        pods += replicas
        for name in requests.keys() - {"cpu", "memory"}:
            extended[name] = extended.get(name, 0) + replicas * int(requests[name])
    slack = max(4, pods // 10)  # a rolling update needs some room
    base = {"cpu": str(cpu + slack), "memory": f"{memory + 4 * slack}Gi", "pods": str(pods + slack)}
    return base | {name: str(count) for name, count in extended.items()}


def quota_request(unit: Unit) -> Manifest:
    """More than the prefecture may grant alone."""
    return {
        "apiVersion": API,
        "kind": "QuotaRequest",
        "metadata": {"name": "epidemic-model", "namespace": unit.namespace},
        "spec": {
            "resources": {"cpu": "96", "memory": "384Gi", "pods": "12"},
            "reason": "Winter respiratory season: run the regional epidemic model on twelve workers",
        },
    }


def approver(code: str) -> list[Manifest]:
    """What ops grants to one division's approver: the verb on that division, and the approver's general role."""
    user = f"approver-{code}"
    subjects = [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]
    rbac = "rbac.authorization.k8s.io/v1"
    role = f"yunchi-approve-{code}"
    rules = [
        {
            "apiGroups": ["yunchi.io"],
            "resources": ["divisions"],
            "resourceNames": [code],
            "verbs": ["approve"],
        }
    ]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    binding = {"apiVersion": rbac, "kind": "ClusterRoleBinding", "subjects": subjects}
    return [
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
        binding | {"metadata": {"name": role}, "roleRef": reference | {"name": role}},
        binding | {"metadata": {"name": f"{role}-general"}, "roleRef": reference | {"name": "yunchi-approver"}},
    ]


def tenancy(prefecture: Prefecture) -> Manifest:
    """A prefecture's cloud as it is to be inventoried."""
    source: Manifest = {"hostListConfigMapRef": {"name": f"hosts-{prefecture.pinyin}"}}
    if prefecture.code == MEMBER:
        source = {"kubeconfigSecretRef": {"name": f"member-{prefecture.pinyin}"}}
    return {
        "apiVersion": API,
        "kind": "CloudTenancy",
        "metadata": {"name": prefecture.pinyin},
        "spec": {"division": prefecture.code, "mode": "Observe", "source": source, "intervalSeconds": 60},
    }


def host_list_config_map(prefecture: Prefecture, text: str) -> Manifest:
    """The ConfigMap that a CloudTenancy of a host list refers to."""
    metadata = {"name": f"hosts-{prefecture.pinyin}", "namespace": SYSTEM_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"hosts.csv": text}}
