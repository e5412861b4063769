"""What the API server lets whom do, with the chart installed: each person with their own client certificate."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.cluster import ControlPlane
from support import charts
from support.charts import dry_run
from support.clusters import wait_until

ROOT = Path(__file__).parents[2]
BAD = sorted((ROOT / "examples" / "bad").glob("*.yaml"))
KINDS = ("division", "department", "quotarequest", "approval", "nodepool", "cloudtenancy")
TOLERATION = {"key": "yunchi.io/pool", "operator": "Exists"}
SPACE = "policies-health"
OTHER_SPACE = "policies-tax"
PLAIN_SPACE = "policies-plain"
API = "yunchi.io/v1alpha1"

pytestmark = pytest.mark.cluster

Answer = subprocess.CompletedProcess[str]


def division(code: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "Division", "metadata": {"name": code}, "spec": {"code": code} | spec}


def request(name: str, namespace: str = SPACE, **spec: Any) -> dict[str, Any]:
    body = {"resources": {"cpu": 4}, "reason": "A test."} | spec
    return {"apiVersion": API, "kind": "QuotaRequest", "metadata": {"name": name, "namespace": namespace}, "spec": body}


def approval(name: str, **spec: Any) -> dict[str, Any]:
    target = {"kind": "QuotaRequest", "namespace": SPACE, "name": "more", "generation": 1}
    body = {"division": "990100", "approver": "wang", "target": target, "decision": "Approve"} | spec
    return {
        "apiVersion": API,
        "kind": "Approval",
        "metadata": {"name": name, "labels": {"test": "policies"}},
        "spec": body,
    }


def pod(namespace: str, **spec: Any) -> dict[str, Any]:
    body = {"containers": [{"name": "web", "image": "web"}]} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace}, "spec": body}


def role(name: str, **rule: list[str]) -> dict[str, Any]:
    api = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}


def bind(role_name: str, user: str, namespace: str | None = None, kind: str = "ClusterRole") -> dict[str, Any]:
    metadata = {"name": f"{role_name}-{user}"} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role_name},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
    }


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def department_labels(name: str) -> dict[str, str]:
    return {"yunchi.io/department": name, "yunchi.io/division": "990100"}


SETUP: list[dict[str, Any]] = [
    namespace(SPACE, **department_labels("health")),
    namespace(OTHER_SPACE, **department_labels("tax")),
    namespace(PLAIN_SPACE),
    role(
        "policies-approve",
        apiGroups=["yunchi.io"],
        resources=["divisions"],
        resourceNames=["990100"],
        verbs=["approve"],
    ),
    bind("policies-approve", "wang"),
    bind("yunchi-approver", "wang"),
    bind("yunchi-department", "li", SPACE),
    bind("yunchi-department", "zhao", OTHER_SPACE),
    bind("yunchi-ops", "chen"),
    bind("yunchi-ops", "chen", charts.NAMESPACE, kind="Role"),
    bind("yunchi-auditor", "sun"),
    role("policies-namespaces", apiGroups=[""], resources=["namespaces"], verbs=["get", "create", "patch"]),
    bind("policies-namespaces", "plain"),
    bind("edit", "plain", PLAIN_SPACE),
]


@pytest.fixture(scope="module")
def plane(pool: ControlPlane) -> Iterator[ControlPlane]:
    """The pool with the chart, two departments' namespaces, and the rights of the people."""
    charts.install(pool)
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": SETUP})
    pool.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=everything)
    wait_until(lambda: marked(mutated(pool, pod(SPACE))), "pods to be marked")
    yield pool
    made = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*SETUP, *one_of_each()]})
    pool.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", input=made)


@pytest.fixture(autouse=True)
def nothing_left(plane: ControlPlane) -> Iterator[None]:
    """Removes what a test made."""
    yield
    plane.kubectl("delete", "approvals", "-l", "test=policies")
    plane.kubectl("delete", "quotarequests", "--all", "-n", SPACE)


@pytest.fixture
def create(plane: ControlPlane) -> Callable[..., Answer]:
    """Creates an object as a user, and gives what kubectl said."""

    def run(user: str, item: dict[str, Any]) -> Answer:
        kubeconfig = plane.user_kubeconfig(user)
        text = json.dumps(item)
        return plane.kubectl("create", "-o", "json", "-f", "-", input=text, kubeconfig=kubeconfig, check=False)

    return run


@pytest.fixture
def run_as(plane: ControlPlane) -> Callable[..., Answer]:
    """Runs kubectl as a user."""

    def run(user: str, *arguments: str) -> Answer:
        return plane.kubectl(*arguments, kubeconfig=plane.user_kubeconfig(user), check=False)

    return run


def labels_of(plane: ControlPlane, name: str) -> dict[str, str]:
    found = json.loads(plane.kubectl("get", "namespace", name, "-o", "json").stdout)
    return dict(found["metadata"]["labels"])


def mutated(plane: ControlPlane, item: dict[str, Any], user: str | None = None) -> dict[str, Any]:
    """The spec that a pod would get."""
    kubeconfig = plane.user_kubeconfig(user) if user else None
    answer = dry_run(plane, item, kubeconfig=kubeconfig)
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout)["spec"])


class TestApprovals:
    def test_an_approver_of_the_division_approves(self, create: Callable[..., Answer]) -> None:
        answer = create("wang", approval("yes"))
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["spec"]["approver"] == "wang"

    def test_a_forged_name_is_refused(self, create: Callable[..., Answer]) -> None:
        answer = create("wang", approval("forged", approver="director"))
        assert answer.returncode != 0
        assert "spec.approver is director, but you are wang; an Approval is made in one's own name" in answer.stderr

    def test_a_foreign_division_is_refused(self, create: Callable[..., Answer]) -> None:
        answer = create("wang", approval("foreign", division="990000"))
        assert answer.returncode != 0
        assert "spec.division is 990000, and you may not approve for it" in answer.stderr
        assert "the verb approve on divisions/990000" in answer.stderr

    def test_a_department_cannot_approve_at_all(self, create: Callable[..., Answer]) -> None:
        answer = create("li", approval("own", approver="li"))
        assert 'User "li" cannot create resource "approvals"' in answer.stderr

    def test_cloud_operations_cannot_approve(self, create: Callable[..., Answer]) -> None:
        answer = create("chen", approval("ops", approver="chen"))
        assert 'User "chen" cannot create resource "approvals"' in answer.stderr

    def test_the_role_without_the_verb_is_not_enough(self, plane: ControlPlane, create: Callable[..., Answer]) -> None:
        plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(bind("yunchi-approver", "zhou")))
        answer = wait_until(
            lambda: refused_by_policy(create("zhou", approval("verbless", approver="zhou"))), "the policy"
        )
        assert "spec.division is 990100, and you may not approve for it" in answer

    @pytest.mark.parametrize(
        "change",
        [{"decision": "Reject"}, {"comment": "On second thoughts."}, {"target": {"generation": 2}}],
        ids=lambda change: next(iter(change)),
    )
    def test_it_never_changes_not_even_by_an_administrator(
        self, plane: ControlPlane, create: Callable[..., Answer], change: dict[str, Any]
    ) -> None:
        assert create("wang", approval("yes")).returncode == 0
        patch = json.dumps({"spec": change})
        answer = plane.kubectl("patch", "approval", "yes", "--type=merge", "-p", patch, check=False)
        assert "spec of an Approval cannot change; create another Approval" in answer.stderr


def refused_by_policy(answer: Answer) -> str:
    return answer.stderr if "ValidatingAdmissionPolicy" in answer.stderr else ""


class TestRequester:
    def test_it_is_stamped(self, create: Callable[..., Answer]) -> None:
        answer = create("li", request("more"))
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["spec"]["requester"] == "li"

    def test_a_forged_one_is_overwritten(self, create: Callable[..., Answer]) -> None:
        answer = create("li", request("more", requester="director"))
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["spec"]["requester"] == "li"

    def test_it_cannot_change(self, create: Callable[..., Answer], run_as: Callable[..., Answer]) -> None:
        assert create("li", request("more")).returncode == 0
        patch = json.dumps({"spec": {"requester": "director"}})
        answer = run_as("li", "patch", "quotarequest", "more", "-n", SPACE, "--type=merge", "-p", patch)
        assert answer.returncode != 0
        assert "spec.requester" in answer.stderr
        assert "cannot change" in answer.stderr

    def test_it_is_put_back_when_a_replacement_leaves_it_out(
        self, plane: ControlPlane, create: Callable[..., Answer]
    ) -> None:
        assert create("li", request("more")).returncode == 0
        changed = json.dumps(request("more", reason="Another reason."))
        plane.kubectl("replace", "-f", "-", input=changed, kubeconfig=plane.user_kubeconfig("li"))
        found = json.loads(plane.kubectl("get", "quotarequest", "more", "-n", SPACE, "-o", "json").stdout)
        assert (found["spec"]["requester"], found["spec"]["reason"]) == ("li", "Another reason.")

    def test_a_colleague_may_edit_but_stays_a_colleague(
        self, plane: ControlPlane, create: Callable[..., Answer]
    ) -> None:
        assert create("li", request("more")).returncode == 0
        plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(bind("yunchi-department", "qian", SPACE)))
        patch = ["patch", "quotarequest", "more", "-n", SPACE, "--type=merge", "-p", '{"spec":{"reason":"Clearer."}}']
        kubeconfig = plane.user_kubeconfig("qian")
        wait_until(lambda: plane.kubectl(*patch, kubeconfig=kubeconfig, check=False).returncode == 0, "the edit")
        found = json.loads(plane.kubectl("get", "quotarequest", "more", "-n", SPACE, "-o", "json").stdout)
        assert found["spec"] == {"requester": "li", "reason": "Clearer.", "resources": {"cpu": 4}}


class TestPods:
    def test_a_department_pod_goes_to_yunchi_and_bears_the_pool(self, plane: ControlPlane) -> None:
        spec = mutated(plane, pod(SPACE), user="li")
        assert spec["schedulerName"] == "yunchi"
        assert spec["tolerations"].count(TOLERATION) == 1

    def test_it_keeps_its_own_tolerations(self, plane: ControlPlane) -> None:
        own = {"key": "accelerator", "operator": "Exists", "effect": "NoSchedule"}
        tolerations = mutated(plane, pod(SPACE, tolerations=[own]), user="li")["tolerations"]
        assert own in tolerations
        assert TOLERATION in tolerations

    def test_the_toleration_is_not_doubled(self, plane: ControlPlane) -> None:
        tolerations = mutated(plane, pod(SPACE, tolerations=[TOLERATION]), user="li")["tolerations"]
        assert tolerations.count(TOLERATION) == 1

    def test_a_scheduler_chosen_by_name_stays(self, plane: ControlPlane) -> None:
        assert mutated(plane, pod(SPACE, schedulerName="volcano"), user="li")["schedulerName"] == "volcano"

    def test_a_pod_with_resource_claims_stays_with_the_default_scheduler(self, plane: ControlPlane) -> None:
        spec = mutated(plane, pod(SPACE, resourceClaims=[{"name": "gpu", "resourceClaimName": "one"}]), user="li")
        assert spec["schedulerName"] == "default-scheduler"
        assert TOLERATION in spec["tolerations"]

    def test_ordinary_namespaces_are_left_alone(self, plane: ControlPlane) -> None:
        spec = mutated(plane, pod(PLAIN_SPACE), user="plain")
        assert spec["schedulerName"] == "default-scheduler"
        assert TOLERATION not in spec["tolerations"]

    def test_pods_of_a_deployment_are_marked_too(self, plane: ControlPlane) -> None:
        template = {"metadata": {"labels": {"app": "web"}}, "spec": pod(SPACE)["spec"]}
        web = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": SPACE},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        }
        plane.kubectl("create", "-f", "-", input=json.dumps(web), kubeconfig=plane.user_kubeconfig("li"))
        listing = ["get", "pods", "-n", SPACE, "-l", "app=web", "-o", "json"]
        pods = wait_until(lambda: json.loads(plane.kubectl(*listing).stdout)["items"], "a pod of the Deployment")
        plane.kubectl("delete", "deployment", "web", "-n", SPACE)
        assert {found["spec"]["schedulerName"] for found in pods} == {"yunchi"}


def test_a_pod_without_any_toleration_gets_the_list_or_is_told(control_plane_factory: Any) -> None:
    """Usually another plug-in has added some before. Where the cluster cannot fill them in, the user is told."""
    bare = control_plane_factory(components=("etcd", "kube-apiserver"))
    bare._commands["kube-apiserver"].append("--disable-admission-plugins=ServiceAccount,DefaultTolerationSeconds")
    bare.restart("kube-apiserver")
    charts.install(bare)
    bare.create_namespace(SPACE, department_labels("health"))
    spec = wait_until(lambda: marked(mutated(bare, pod(SPACE))), "the pod to be marked")
    assert spec["tolerations"] == [TOLERATION]

    only = ["--show-only", "templates/policies-pods.yaml"]
    fallback = charts.helm(bare, "template", "yunchi", charts.CHART, "--namespace", charts.NAMESPACE, *only)
    bare.kubectl("delete", "mutatingadmissionpolicybindings,mutatingadmissionpolicies", "yunchi-pods")
    bare.kubectl("apply", "--server-side", "-f", "-", input=fallback)
    told = wait_until(lambda: refused_by_policy(dry_run(bare, pod(SPACE))), "the policy")
    assert "write schedulerName: yunchi" in told
    half = dry_run(bare, pod(SPACE, schedulerName="yunchi"))
    assert "add {key: yunchi.io/pool, operator: Exists}" in half.stderr
    assert dry_run(bare, pod(SPACE, schedulerName="yunchi", tolerations=[TOLERATION])).returncode == 0
    assert dry_run(bare, pod(SPACE, schedulerName="volcano")).returncode == 0


def marked(spec: dict[str, Any]) -> dict[str, Any] | None:
    return spec if spec["schedulerName"] == "yunchi" else None


class TestNamespaceLabels:
    MESSAGE = "the labels yunchi.io/department and yunchi.io/division are set by Yunchi"

    @pytest.mark.parametrize("label", ["yunchi.io/department", "yunchi.io/division"])
    def test_a_plain_user_cannot_set_one(self, run_as: Callable[..., Answer], label: str) -> None:
        command = ["label", "namespace", PLAIN_SPACE, f"{label}=x"]
        answer = wait_until(lambda: refused_by_policy(run_as("plain", *command)), "the policy")
        assert self.MESSAGE in answer

    def test_nor_create_a_namespace_with_it(self, create: Callable[..., Answer]) -> None:
        answer = create("plain", namespace("policies-stolen", **department_labels("health")))
        assert self.MESSAGE in answer.stderr

    def test_nor_remove_it(self, run_as: Callable[..., Answer]) -> None:
        assert self.MESSAGE in run_as("plain", "label", "namespace", SPACE, "yunchi.io/department-").stderr

    def test_other_labels_are_theirs(self, run_as: Callable[..., Answer]) -> None:
        answer = run_as("plain", "label", "namespace", SPACE, "purpose=test", "--overwrite")
        assert answer.returncode == 0, answer.stderr

    def test_cloud_operations_may(self, plane: ControlPlane, run_as: Callable[..., Answer]) -> None:
        answer = run_as("chen", "label", "namespace", PLAIN_SPACE, "yunchi.io/department=health")
        assert answer.returncode == 0, answer.stderr
        assert labels_of(plane, PLAIN_SPACE)["yunchi.io/department"] == "health"
        assert run_as("chen", "label", "namespace", PLAIN_SPACE, "yunchi.io/department-").returncode == 0

    def test_so_may_the_operator(self, plane: ControlPlane) -> None:
        kubeconfig = plane.service_account_kubeconfig(charts.NAMESPACE, "yunchi-operator")
        item = namespace("policies-by-operator", **department_labels("health"))
        answer = dry_run(plane, item, kubeconfig=kubeconfig)
        assert answer.returncode == 0, answer.stderr


ALLOWED = [
    ("li", "create quotarequests.yunchi.io", SPACE),
    ("li", "create deployments.apps", SPACE),
    ("li", "get resourcequotas", SPACE),
    ("wang", "create approvals.yunchi.io", ""),
    ("wang", "get quotarequests.yunchi.io", SPACE),
    ("sun", "list approvals.yunchi.io", ""),
    ("chen", "create departments.yunchi.io", ""),
    ("chen", "patch nodes", ""),
    ("chen", "create secrets", charts.NAMESPACE),
]
FORBIDDEN = [
    ("li", "update resourcequotas", SPACE),
    ("li", "patch limitranges", SPACE),
    ("li", "delete networkpolicies.networking.k8s.io", SPACE),
    ("li", "create rolebindings.rbac.authorization.k8s.io", SPACE),
    ("li", "patch quotarequests.yunchi.io/status", SPACE),
    ("li", "get pods", OTHER_SPACE),
    ("li", "get quotarequests.yunchi.io", OTHER_SPACE),
    ("li", "list departments.yunchi.io", ""),
    ("li", "create approvals.yunchi.io", ""),
    ("wang", "update approvals.yunchi.io", ""),
    ("wang", "delete approvals.yunchi.io", ""),
    ("wang", "approve divisions.yunchi.io/990000", ""),
    ("wang", "create quotarequests.yunchi.io", SPACE),
    ("wang", "get secrets", SPACE),
    ("sun", "get secrets", charts.NAMESPACE),
    ("sun", "delete approvals.yunchi.io", ""),
    ("chen", "create approvals.yunchi.io", ""),
    ("chen", "approve divisions.yunchi.io/990100", ""),
    ("chen", "get secrets", SPACE),
    ("chen", "patch quotarequests.yunchi.io/status", SPACE),
]


class TestPersonas:
    @pytest.mark.parametrize(("user", "what", "where"), ALLOWED, ids=lambda value: value or "cluster")
    def test_may(self, run_as: Callable[..., Answer], user: str, what: str, where: str) -> None:
        assert self.asked(run_as, user, what, where) == "yes"

    @pytest.mark.parametrize(("user", "what", "where"), FORBIDDEN, ids=lambda value: value or "cluster")
    def test_may_not(self, run_as: Callable[..., Answer], user: str, what: str, where: str) -> None:
        assert self.asked(run_as, user, what, where) == "no"

    @staticmethod
    def asked(run_as: Callable[..., Answer], user: str, what: str, where: str) -> str:
        verb, resource = what.split()
        resource, _, extra = resource.partition("/")
        subresource = ["--subresource=status"] if extra == "status" else []
        named = f"{resource}/{extra}" if extra and not subresource else resource
        scope = ["-n", where] if where else []
        return run_as(user, "auth", "can-i", verb, named, *subresource, *scope).stdout.split()[0]


def test_our_own_pods_are_admitted_in_a_restricted_namespace(plane: ControlPlane) -> None:
    restricted = namespace("policies-restricted", **{"pod-security.kubernetes.io/enforce": "restricted"})
    applied(plane, restricted)
    found = json.loads(plane.kubectl("get", "deployments", "-n", charts.NAMESPACE, "-o", "json").stdout)["items"]
    assert len(found) == 2
    wait_until(lambda: has_service_account(plane, "policies-restricted"), "the service account")
    for deployment in found:
        spec = deployment["spec"]["template"]["spec"] | {"serviceAccountName": "default", "serviceAccount": "default"}
        answer = dry_run(plane, pod("policies-restricted", **spec))
        assert answer.returncode == 0, answer.stderr
    refused = dry_run(plane, pod("policies-restricted"))
    plane.kubectl("delete", "namespace", "policies-restricted", "--wait=false")
    assert "violates PodSecurity" in refused.stderr


def has_service_account(plane: ControlPlane, where: str) -> bool:
    return plane.kubectl("get", "serviceaccount", "default", "-n", where, check=False).returncode == 0


class TestSchemas:
    @pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
    def test_bad_examples_are_refused_with_the_documented_words(self, plane: ControlPlane, path: Path) -> None:
        expected = re.findall(r"^# expect: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert expected
        answer = plane.kubectl("create", "-f", str(path), check=False)
        assert answer.returncode != 0
        assert [words for words in expected if words not in answer.stderr] == []

    @pytest.mark.parametrize(
        "amounts",
        [
            {"cpu": "500m"},
            {"cpu": 2, "memory": "1.5Gi"},
            {"pods": "20"},
            {"huawei.com/Ascend910": 8},
            {"memory": "2e9"},
        ],
        ids=str,
    )
    def test_usual_amounts_are_taken(self, plane: ControlPlane, amounts: dict[str, Any]) -> None:
        answer = dry_run(plane, request("usual", resources=amounts))
        assert answer.returncode == 0, answer.stderr

    @pytest.mark.parametrize("field", ["guarantee", "borrowingLimit", "lendingLimit"])
    def test_amounts_of_a_share_are_checked_too(self, plane: ControlPlane, field: str) -> None:
        item = division("990200", level="Prefecture", parent="990000", share={field: {"memory": "1 TB"}})
        assert f"spec.share.{field}[memory]: Invalid value" in dry_run(plane, item).stderr

    def test_a_division_keeps_its_code(self, plane: ControlPlane) -> None:
        applied(plane, division("990000", level="Province"))
        patch = '{"spec":{"code":"990200"}}'
        answer = plane.kubectl("patch", "division", "990000", "--type=merge", "-p", patch, check=False)
        assert "spec.code cannot change" in answer.stderr

    def test_a_department_keeps_its_division(self, plane: ControlPlane) -> None:
        spec = {"division": "990100", "namespaces": ["policies-a"], "mlpsLevel": 2}
        item = {"apiVersion": API, "kind": "Department", "metadata": {"name": "policies-a"}, "spec": spec}
        plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(item))
        stored = json.loads(plane.kubectl("get", "department", "policies-a", "-o", "json").stdout)["spec"]
        patch = '{"spec":{"division":"990200"}}'
        answer = plane.kubectl("patch", "department", "policies-a", "--type=merge", "-p", patch, check=False)
        plane.kubectl("delete", "department", "policies-a")
        assert "spec.division cannot change" in answer.stderr
        assert stored["baseQuota"] == {"cpu": "2", "memory": "4Gi", "pods": "20"}
        assert (stored["secrecy"], stored["dataLevel"], stored["networkZone"]) == ("Unclassified", "L2", "Extranet")

    @pytest.mark.parametrize("kind", KINDS)
    def test_explain_has_words_for_every_field(self, plane: ControlPlane, kind: str) -> None:
        explained = plane.kubectl("explain", f"{kind}.spec", "--recursive").stdout
        assert re.search(r"DESCRIPTION:\s+spec ", explained)
        published = json.loads(plane.kubectl("get", "--raw", "/openapi/v3/apis/yunchi.io/v1alpha1").stdout)
        (schema,) = (
            found
            for found in published["components"]["schemas"].values()
            if found.get("x-kubernetes-group-version-kind", [{}])[0].get("kind", "").lower() == kind
        )
        described = dict(descriptions(schema, kind))
        assert {f"{kind}.{part}" for part in ("spec", "status", "status.conditions")} <= described.keys()
        assert [path for path, text in described.items() if not text] == []
        assert [name for name in re.findall(r"^ +(\w+)\t", explained, re.MULTILINE) if name not in str(described)] == []

    def test_get_yunchi_lists_every_kind(self, plane: ControlPlane) -> None:
        resources = plane.kubectl("api-resources", "--categories=yunchi", "--no-headers", "-o", "name").stdout.split()
        assert len(resources) == len(KINDS)
        for item in one_of_each():
            plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(item))
        listed = plane.kubectl("get", "yunchi", "-A").stdout
        names = [f"{item['kind'].lower()}.yunchi.io/{item['metadata']['name']}" for item in one_of_each()]
        assert [name for name in names if name not in listed] == []

    def test_applying_twice_changes_nothing(self, plane: ControlPlane) -> None:
        for item in one_of_each():
            first, second = (applied(plane, item) for _ in range(2))
            assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"], item["kind"]
            assert first["metadata"]["generation"] == second["metadata"]["generation"]

    @pytest.mark.parametrize("path", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.stem)
    def test_the_stored_crd_is_the_file(self, plane: ControlPlane, path: Path) -> None:
        wanted = yaml.safe_load(path.read_text(encoding="utf-8"))
        stored = json.loads(plane.kubectl("get", "crd", wanted["metadata"]["name"], "-o", "json").stdout)
        assert stored["spec"]["versions"] == wanted["spec"]["versions"]
        established = {found["type"]: found["status"] for found in stored["status"]["conditions"]}
        assert established["Established"] == "True"
        assert established.get("NonStructuralSchema", "False") == "False"


def applied(plane: ControlPlane, item: dict[str, Any]) -> dict[str, Any]:
    """An object after server-side apply."""
    answer = plane.kubectl("apply", "--server-side", "-o", "json", "-f", "-", input=json.dumps(item))
    return dict(json.loads(answer.stdout))


def one_of_each() -> list[dict[str, Any]]:
    """A small valid object of every kind."""
    cluster = {
        "Department": {"division": "990100", "namespaces": ["policies-one"], "mlpsLevel": 2},
        "NodePool": {"nodeSelector": {"matchLabels": {"yunchi.io/cpu-model": "none"}}},
        "CloudTenancy": {"division": "990100", "source": {"hostListConfigMapRef": {"name": "none"}}},
    }
    named = [
        {"apiVersion": API, "kind": kind, "metadata": {"name": "policies-one"}, "spec": spec}
        for kind, spec in cluster.items()
    ]
    own = approval("policies-one", approver="admin")
    return [division("990000", level="Province"), request("policies-one"), own, *named]


def descriptions(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Path and text of every field, as `kubectl explain` reads them from the server."""
    yield path, schema.get("description", "")
    for name, field in schema.get("properties", {}).items():
        yield from descriptions(field, f"{path}.{name}")
    if "properties" in schema.get("items", {}):
        yield from descriptions(schema["items"], path + "[]")
