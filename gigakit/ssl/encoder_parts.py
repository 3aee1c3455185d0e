"""What an objective tells so that pretraining can start from a published encoder."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class StartsFromEncoder(Protocol):
    """An objective whose encoders a file of one published encoder can fill."""

    def encoder_parts(self) -> tuple[str, ...]:
        """Return the names of the sub-modules, such as ``student.backbone``, that are filled."""
        ...
