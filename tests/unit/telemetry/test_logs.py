"""Log lines are readable by machines and hold no credentials."""

import json
import logging
from collections.abc import Iterator

import pytest

from yunchi_operator.telemetry.logs import configure_logging, mask


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    logging.getLogger("yunchi_operator.x").info("used %s", "Bearer abc.def")
    error = ValueError("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----")
    logging.getLogger("yunchi_operator.x").error("failed", exc_info=error)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("info", "yunchi_operator.x", "used Bearer [masked]")
    assert first["time"].endswith("Z")
    assert "MIIE" not in second["exception"]
    assert "ValueError" in second["exception"]


def test_text_lines_and_quiet_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")
    configure_logging("text")
    logging.getLogger("kopf.objects").info("noise")
    logging.getLogger("yunchi_operator").warning("told once")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "WARNING yunchi_operator: told once" in lines[0]


def test_tokens_are_masked() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl"
    assert mask(f"token: {token}, done") == "token: [masked], done"
