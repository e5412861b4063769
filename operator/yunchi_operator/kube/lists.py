"""Reads whole collections page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from yunchi_operator.kube.client import KubeClient

PAGE = 500


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _Meta = _Meta()


class _Objects(_Page):
    items: list[dict[str, Any]] = []


async def pages(client: KubeClient, path: str, *, timeout_seconds: float = 30.0) -> AsyncIterator[bytes]:
    """The bodies of a list's pages.

    Raises:
        ApiError: when a page is refused or not reached.
        msgspec.DecodeError: when an answer is no list.
    """
    query = {"limit": str(PAGE)}
    while True:
        body = await client.request("GET", path, query=query, timeout_seconds=timeout_seconds)
        yield body
        told = msgspec.json.decode(body, type=_Page).metadata
        if not told.continue_:
            return
        query["continue"] = told.continue_


async def everything(client: KubeClient, path: str) -> tuple[list[dict[str, Any]], str]:
    """All objects of a small collection, and the resourceVersion of the first page.

    Raises:
        ApiError: when a page is refused or not reached.
        msgspec.DecodeError: when an answer is no list.
    """
    items: list[dict[str, Any]] = []
    version = ""
    async for body in pages(client, path):
        page = msgspec.json.decode(body, type=_Objects)
        items.extend(page.items)
        version = version or page.metadata.resource_version
    return items, version
