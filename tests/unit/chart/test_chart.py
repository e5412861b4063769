"""The chart as the real helm renders it. No cluster is needed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "yunchi"
MUTATING = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"

pytestmark = pytest.mark.cluster  # helm comes with the control plane's binaries

Objects = list[dict[str, Any]]


@pytest.fixture
def helm(binaries: Any, tmp_path: Path) -> Any:
    """Runs the real helm; gives the finished process."""

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "KUBECONFIG": str(tmp_path / "none")}
        command = [str(binaries.helm), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def render(helm: Any) -> Any:
    """Renders the chart; gives its objects."""

    def run(*arguments: str, chart: Path = CHART) -> Objects:
        text = helm("template", "yunchi", chart, "--namespace", "yunchi-system", *arguments).stdout
        return [document for document in yaml.safe_load_all(text) if document]

    return run


def of_kind(objects: Objects, kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def sources() -> dict[str, dict[str, Any]]:
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "crds").glob("*.yaml")]
    return {crd["metadata"]["name"]: crd for crd in found}


def test_lint_is_silent(helm: Any) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm("lint", "--strict", CHART).stdout


def test_crds_are_those_of_the_one_source(render: Any) -> None:
    rendered = of_kind(render(), "CustomResourceDefinition")
    assert {name: crd["spec"] for name, crd in rendered.items()} == {n: c["spec"] for n, c in sources().items()}
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in rendered.values()} == {"keep"}


def test_crds_can_be_left_out_or_removed_with_the_chart(render: Any) -> None:
    assert not of_kind(render("--set", "crds.enabled=false"), "CustomResourceDefinition")
    rendered = of_kind(render("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert len(rendered) == len(sources())
    assert all("annotations" not in crd["metadata"] for crd in rendered.values())


def test_the_packaged_chart_holds_the_crds(helm: Any, render: Any, tmp_path: Path) -> None:
    helm("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("yunchi-*.tgz")
    assert render(chart=package) == render()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("operator.replica=1", "replica"),
        ("schedular.replicas=1", "schedular"),
        ("operator.replicas=-1", "minimum"),
        ("logFormat=xml", "logFormat"),
        ("image.digest=latest", "digest"),
    ],
)
def test_a_wrong_value_is_refused(helm: Any, setting: str, words: str) -> None:
    refused = helm("template", "yunchi", CHART, "--set", setting, check=False)
    assert refused.returncode != 0
    assert words in refused.stderr


def test_no_role_has_a_wildcard(render: Any) -> None:
    objects = render()
    roles = [*of_kind(objects, "ClusterRole").values(), *of_kind(objects, "Role").values()]
    granted = [value for role in roles for rule in role["rules"] for values in rule.values() for value in values]
    assert granted
    assert "*" not in granted


def test_no_process_may_delete_but_pods_read_all_secrets_or_touch_admission(render: Any) -> None:
    roles = of_kind(render(), "ClusterRole")
    for name in ("yunchi-operator", "yunchi-scheduler"):
        for rule in roles[name]["rules"]:
            if (name, rule["resources"]) == ("yunchi-scheduler", ["pods"]):
                assert set(rule["verbs"]) <= {"delete"}  # preemption
                continue
            assert not {"delete", "deletecollection", "escalate", "impersonate"} & set(rule["verbs"])
            assert not {"secrets", "configmaps"} & set(rule["resources"])
            assert "admissionregistration.k8s.io" not in rule["apiGroups"]


def test_nobody_gets_the_verb_approve_from_the_chart(render: Any) -> None:
    objects = render()
    roles = [*of_kind(objects, "ClusterRole").values(), *of_kind(objects, "Role").values()]
    assert not [role for role in roles for rule in role["rules"] if "approve" in rule["verbs"]]


def test_departments_write_nothing_that_is_set_for_them(render: Any) -> None:
    writes = {"create", "update", "patch", "delete", "deletecollection"}
    guarded = {"resourcequotas", "limitranges", "networkpolicies", "rolebindings", "namespaces", "quotarequests/status"}
    for rule in of_kind(render(), "ClusterRole")["yunchi-department"]["rules"]:
        assert not (writes & set(rule["verbs"]) and guarded & set(rule["resources"]))


def test_pods_are_fit_for_a_restricted_namespace(render: Any) -> None:
    deployments = of_kind(render(), "Deployment")
    assert set(deployments) == {"yunchi-operator", "yunchi-scheduler"}
    for name, deployment in deployments.items():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["serviceAccountName"] == name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["command"] == ["yunchi", name.removeprefix("yunchi-"), "run"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_replicas_may_be_none_and_only_a_standby_has_a_budget(render: Any) -> None:
    none = render("--set", "operator.replicas=0,scheduler.replicas=0")
    assert [found["spec"]["replicas"] for found in of_kind(none, "Deployment").values()] == [0, 0]
    assert not of_kind(none, "PodDisruptionBudget")
    two = render("--set", "operator.replicas=2")
    assert set(of_kind(two, "PodDisruptionBudget")) == {"yunchi-operator"}


def test_a_digest_wins_over_the_tag(render: Any) -> None:
    digest = "sha256:" + "0" * 64
    deployments = of_kind(render("--set", f"image.digest={digest},image.tag=v9"), "Deployment")
    images = {found["spec"]["template"]["spec"]["containers"][0]["image"] for found in deployments.values()}
    assert images == {f"yunchi/yunchi@{digest}"}


def test_policies_that_mutate_only_where_the_cluster_knows_them(render: Any) -> None:
    new, old = render("--api-versions", MUTATING), render()
    assert set(of_kind(new, "MutatingAdmissionPolicy")) == {"yunchi-pods", "yunchi-quota-requests"}
    assert "yunchi-pods" not in of_kind(new, "ValidatingAdmissionPolicy")
    assert not of_kind(old, "MutatingAdmissionPolicy")
    words = str(of_kind(old, "ValidatingAdmissionPolicy")["yunchi-pods"])
    assert "write schedulerName: yunchi" in words


def test_every_policy_is_bound(render: Any) -> None:
    objects = render("--api-versions", MUTATING)
    for kind in ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"):
        policies, bindings = of_kind(objects, kind), of_kind(objects, f"{kind}Binding")
        assert policies
        assert {binding["spec"]["policyName"] for binding in bindings.values()} == set(policies)
