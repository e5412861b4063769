"""Progress on standard error: a line that moves on a terminal, a heartbeat elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.status import Status

HEARTBEAT_SECONDS: Final = 10.0


class Reporter:
    """Tells people what is going on; says nothing when quiet.

    A context manager: the moving line, or the heartbeat, runs inside it.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._moves = self._console.is_terminal and not quiet
        self._status: Status | None = None
        self._text = "starting"
        self._began = time.monotonic()
        self._over = threading.Event()
        self._heart: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._moves:
            self._status = self._console.status(self._text)
            self._status.start()
        elif not self._quiet:
            self._heart = threading.Thread(target=self._beat, daemon=True)
            self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._status is not None:
            self._status.stop()
        if self._heart is not None:
            self._heart.join()

    def stage(self, text: str) -> None:
        """A new stage, or a better value; without a terminal each is a line."""
        if text == self._text:
            return
        self._text = text
        if self._status is not None:
            self._status.update(text)
        elif not self._quiet:
            self._line(text)

    def detail(self, text: str) -> None:
        """How far the stage is: the moving line shows it at once, the heartbeat when it beats next."""
        self._text = text
        if self._status is not None:
            self._status.update(text)

    def warn(self, text: str) -> None:
        """Something that the reader should know, but that stops nothing."""
        if not self._quiet:
            self._console.print(f"warning: {text}", style="yellow", markup=False)

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            self._line(f"still at it: {self._text}")

    def _line(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f}s {text}", file=sys.stderr, flush=True)  # noqa: T201
