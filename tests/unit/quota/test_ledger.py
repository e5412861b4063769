"""The quota of a namespace is the base plus all grants, in Kubernetes' names."""

from hypothesis import given
from hypothesis import strategies as st

from support.tenants import request
from yunchi_operator.api.kinds import ResourceList
from yunchi_operator.quota import amounts
from yunchi_operator.quota.ledger import grants_of, hard

RESOURCES = st.dictionaries(
    st.sampled_from(("cpu", "memory", "pods", "huawei.com/Ascend910", "ephemeral-storage")),
    st.one_of(st.integers(0, 10**6), st.sampled_from(("500m", "1.5", "4Gi", "1e3", "2k", "-3", "100n"))),
)


def test_resources_get_their_quota_names() -> None:
    base: ResourceList = {"cpu": "2", "memory": "4Gi", "pods": "20"}
    grants: list[ResourceList] = [{"cpu": "500m", "huawei.com/Ascend910": 2}, {"memory": "512Mi", "pods": 5}]
    assert hard(base, grants) == {
        "requests.cpu": "2500m",
        "requests.memory": "4608Mi",
        "pods": "25",
        "requests.huawei.com/Ascend910": "2",
    }
    assert hard({"ephemeral-storage": "1Gi"}, []) == {"requests.ephemeral-storage": "1Gi"}


@given(RESOURCES, st.lists(RESOURCES, max_size=5))
def test_the_ledger_is_never_negative_and_no_grant_lowers_it(base: ResourceList, grants: list[ResourceList]) -> None:
    total = amounts.read(hard(base, grants))
    alone = amounts.read(hard(base, []))
    assert all(amount >= 0 for amount in total.values())
    # Their integers are of the quota's own names: cpu counts as whole units here, which keeps the order.
    assert all(total[name] >= amount for name, amount in alone.items())
    assert hard(base, list(reversed(grants))) == hard(base, grants)


def test_what_the_pools_have_and_nobody_granted_is_limited_to_nothing() -> None:
    base: ResourceList = {"cpu": "2", "huawei.com/Ascend910": 1}
    limits = hard(base, [{"huawei.com/Ascend910": 2}], {"huawei.com/Ascend910", "hygon.com/dcu"})
    assert limits == {"requests.cpu": "2", "requests.huawei.com/Ascend910": "3", "requests.hygon.com/dcu": "0"}


def test_only_the_namespace_s_own_living_requests_count() -> None:
    one = request(granted={"cpu": "1"}, granted_generation=1)
    assert grants_of("tax-a", [one]) == [{"cpu": "1"}]
    assert grants_of("tax-b", [one]) == []
