"""Options of ``yunchi scheduler run``."""

from __future__ import annotations

import click
import pytest

from yunchi_operator.cli.scheduler import _weights, run_command
from yunchi_operator.scheduling.items import Weights


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", Weights()),
        ("pods=0", Weights(pods=0)),
        ("node-affinity=7, taints=1", Weights(node_affinity=7, taints=1)),
        ("node-affinity=2,pods=2,taints=3", Weights()),
    ],
)
def test_weights(text: str, weights: Weights) -> None:
    param = next(one for one in run_command.params if one.name == "weights")
    assert _weights(click.Context(run_command), param, text) == weights


@pytest.mark.parametrize("text", ["pods", "pods=", "pods=-1", "pods=1000", "pod=1", "=1", "pods=２"])
def test_bad_weights_are_refused_with_the_kinds(text: str) -> None:
    param = next(one for one in run_command.params if one.name == "weights")
    with pytest.raises(click.BadParameter, match="a kind of node-affinity, pods, taints"):
        _weights(click.Context(run_command), param, text)
