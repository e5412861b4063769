"""Departments: whose a namespace is, and what stands in it."""

from support.tenants import department
from yunchi_operator.tenancy.departments import ObservedNamespace, contents, decide, namespace

OURS = {"yunchi.io/department": "tax"}


def test_missing_and_own_namespaces_are_held() -> None:
    plan = decide(department("a", "b"), {"a": None, "b": ObservedNamespace(OURS)}, division_exists=True)
    assert (plan.verdict.reason, plan.namespaces) == ("Applied", ("a", "b"))


def test_foreign_namespaces_are_left_alone_and_the_others_done() -> None:
    observed = {
        "a": ObservedNamespace({}),
        "b": ObservedNamespace({"yunchi.io/department": "health"}),
        "c": None,
    }
    plan = decide(department("a", "b", "c"), observed, division_exists=True)
    assert (plan.verdict.reason, plan.namespaces) == ("NamespaceConflict", ("c",))
    assert "a exists and is not of Yunchi" in plan.verdict.message
    assert "b belongs to another department" in plan.verdict.message
    assert "health" not in plan.verdict.message


def test_a_namespace_that_goes_is_waited_for() -> None:
    plan = decide(department("a"), {"a": ObservedNamespace(OURS, terminating=True)}, division_exists=True)
    assert (plan.verdict.reason, plan.namespaces) == ("NamespaceTerminating", ())


def test_without_its_division_nothing_changes() -> None:
    plan = decide(department("a", held=("a",)), {"a": None}, division_exists=False)
    assert (plan.verdict.reason, plan.namespaces) == ("DivisionNotFound", ("a",))


def test_contents_are_named_and_marked_as_ours() -> None:
    made = contents(department("a"), "a", {"pods": "1"})
    assert [(item["kind"], item["metadata"]["name"]) for item in made] == [
        ("ResourceQuota", "yunchi-quota"),
        ("LimitRange", "yunchi-defaults"),
        ("NetworkPolicy", "yunchi-default-deny"),
        ("RoleBinding", "yunchi-department"),
    ]
    assert all(item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "yunchi-operator" for item in made)
    assert namespace(department("a"), "a")["metadata"]["labels"]["yunchi.io/division"] == "320102"
