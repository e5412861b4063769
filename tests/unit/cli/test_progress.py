"""What is said while people wait: a line for each stage, the details only when it takes long."""

from __future__ import annotations

import time

import pytest

from yunchi_operator.cli import progress
from yunchi_operator.cli.progress import Reporter


def test_without_a_terminal_details_wait_for_the_heartbeat(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.05)
    with Reporter(quiet=False) as reporter:
        reporter.stage("reading")
        reporter.detail("reading 40%")
        time.sleep(0.2)
        reporter.warn("odd")
    said = capsys.readouterr().err
    assert "s reading\n" in said
    assert "still at it: reading 40%" in said
    assert "warning: odd" in said
    assert said.count("40%") == said.count("still at it")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(quiet=True) as reporter:
        reporter.stage("reading")
        reporter.detail("reading 40%")
        reporter.warn("odd")
    assert capsys.readouterr() == ("", "")
