"""All that the suite of ``wrapt_timeout_decorator`` has of dill."""

from __future__ import annotations

from pickle import PicklingError

__all__ = ["PicklingError"]
