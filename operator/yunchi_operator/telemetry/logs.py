"""Log lines to stderr, for people or for machines; what looks like a credential is masked, as a last defence."""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

Format = Literal["text", "json"]
_SECRETS: Final = re.compile(
    r"(?P<bearer>Bearer\s+)[\w.~+/=-]+"
    r"|-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+",
    re.DOTALL,
)
_NOISY: Final = ("kopf", "kubernetes", "aiohttp", "asyncio")


def mask(text: str) -> str:
    """The text with bearer tokens, JSON web tokens and PEM blocks masked."""
    return _SECRETS.sub(lambda match: (match["bearer"] or "") + "[masked]", text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - base's
        return _time(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure_logging(log_format: str, level: int = logging.INFO) -> None:
    """Send all log records of this process to stderr; calling it again replaces what was set before.

    Args:
        log_format: ``text`` or ``json``.
        level: least level of our own records; libraries are heard from WARNING on.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json() if log_format == "json" else _Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # Kopf warns that it takes no signals outside the main thread; the process takes them itself.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
