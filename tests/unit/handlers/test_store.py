"""The store: late, repeated and contradicting news end in the newest state."""

from typing import Any

from yunchi_operator.handlers.store import Key, Store


def raw(name: str, version: int, kind: str = "Division", **spec: Any) -> dict[str, Any]:
    body = {"Division": {"code": name, "level": "County"}, "QuotaRequest": {"resources": {"cpu": 1}}}[kind] | spec
    metadata = {"name": name, "resourceVersion": str(version), "uid": name}
    if kind == "QuotaRequest":
        metadata["namespace"] = "tax-a"
    return {"metadata": metadata, "spec": body, "unknown": {"field": 1}}


def test_only_newer_versions_are_news() -> None:
    store = Store()
    first = store.take("Division", None, raw("320102", 5))
    assert first is not None
    assert (first.old, first.key) == (None, Key("Division", "", "320102"))
    assert store.take("Division", "MODIFIED", raw("320102", 5)) is None
    assert store.take("Division", "MODIFIED", raw("320102", 4)) is None
    second = store.take("Division", "MODIFIED", raw("320102", 6, level="Township"))
    assert second is not None
    assert second.old is first.new
    assert store.divisions_by_code()["320102"].spec.level == "Township"


def test_a_list_under_way_does_not_bring_back_what_was_deleted() -> None:
    store = Store()
    store.take("Division", None, raw("320102", 5))
    gone = store.take("Division", "DELETED", raw("320102", 7))
    assert gone is not None
    assert gone.new is None
    assert store.divisions.replace([raw("320102", 5)], "6") == []
    assert store.divisions.named("320102") is None
    recreated = store.take("Division", "ADDED", raw("320102", 8))
    assert recreated is not None


def test_a_list_removes_what_it_lacks_but_not_what_is_younger() -> None:
    store = Store()
    store.take("Division", None, raw("320102", 5))
    store.take("Division", None, raw("320104", 9))
    changes = store.divisions.replace([raw("320105", 3)], "8")
    assert {(change.key.name, change.new is None) for change in changes} == {("320105", False), ("320102", True)}
    assert sorted(store.divisions_by_code()) == ["320104", "320105"]


def test_an_old_deletion_does_not_remove_a_newer_object() -> None:
    store = Store()
    store.take("Division", None, raw("320102", 9))
    assert store.take("Division", "DELETED", raw("320102", 7)) is None
    assert store.divisions.named("320102") is not None


def test_the_index_follows() -> None:
    store = Store()
    store.take("QuotaRequest", None, raw("b", 1, "QuotaRequest"))
    store.take("QuotaRequest", None, raw("a", 2, "QuotaRequest"))
    assert [one.metadata.name for one in store.requests.where("tax-a")] == ["a", "b"]
    store.take("QuotaRequest", "DELETED", raw("a", 3, "QuotaRequest"))
    assert [one.metadata.name for one in store.requests.where("tax-a")] == ["b"]
    assert store.requests.where("tax-b") == []


def test_what_cannot_be_read_is_passed_over() -> None:
    store = Store()
    assert store.take("Division", None, {"metadata": {"name": "x"}, "spec": {"code": 1}}) is None
    assert store.every_key() == []
