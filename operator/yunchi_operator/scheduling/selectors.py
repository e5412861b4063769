"""Label selectors as Kubernetes evaluates them, compiled to hashable values so that equal ones are matched once."""

from __future__ import annotations

from collections.abc import Mapping

from yunchi_operator.api.kinds import LabelSelector

Test = tuple[str, str, tuple[str, ...]]
"""Key, operator (In, NotIn, Exists, DoesNotExist) and sorted values."""
Selector = tuple[Test, ...]
"""Tests that must all hold; empty selects everything."""


def compiled(selector: LabelSelector) -> Selector:
    """A selector's tests in a fixed order; equal selectors become equal values."""
    tests: set[Test] = {(key, "In", (value,)) for key, value in selector.match_labels.items()}
    tests |= {(one.key, one.operator, tuple(sorted(one.values))) for one in selector.match_expressions}
    return tuple(sorted(tests))


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether all tests hold. An operator that does not exist matches nothing."""
    for key, operator, values in selector:
        value = labels.get(key)
        match operator:
            case "In":
                held = value is not None and value in values
            case "NotIn":
                held = value is None or value not in values
            case "Exists":
                held = value is not None
            case "DoesNotExist":
                held = value is None
            case _:
                held = False
        if not held:
            return False
    return True
