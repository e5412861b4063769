"""A quick look at an object: whether it has only fields that Kubernetes knows.

``fields.tidy`` says which field is wrong and what was meant, but walks dictionaries. Here the same lists of fields
become msgspec structures that refuse every other field, so that the good objects, which is nearly all, are told apart
without building them. Whatever is refused here is read again with care.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from yunchi_operator.api.fields import Fields


class Shapes:
    """The checks of some kinds, made from their known fields."""

    def __init__(self, known: Mapping[str, Fields]) -> None:
        self._json = {kind: msgspec.json.Decoder(_shape(fields, msgspec.Raw)).decode for kind, fields in known.items()}
        self._plain = {kind: _shape(fields, Any) for kind, fields in known.items()}

    def json_fits(self, kind: str, raw: msgspec.Raw | memoryview) -> bool:
        """Whether JSON text has known fields only; null fields fit."""
        return _passes(lambda: self._json[kind](raw))

    def fits(self, kind: str, value: Mapping[str, Any]) -> bool:
        """The same of decoded dictionaries."""
        return _passes(lambda: msgspec.convert(value, self._plain[kind]))


def _passes(look: Callable[[], object]) -> bool:
    try:
        look()
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _shape(fields: Fields, leaf: Any) -> Any:
    """A structure that takes these fields and no other; one below it may also come in a list, or be null."""
    members: list[tuple[str, Any, Any]] = []
    for name in sorted(fields.names):
        kind = leaf
        if name in fields.nested:
            below = _shape(fields.nested[name], leaf)
            kind = below | types.GenericAlias(list, (below,)) | None
        members.append((_MEMBER + name, kind, None))
    renames = {_MEMBER + name: name for name in fields.names}
    return msgspec.defstruct("Shape", members, forbid_unknown_fields=True, rename=renames, gc=False)


_MEMBER: Final = "f_"
"""Python names begin with it: some fields are called like Python's own words."""
