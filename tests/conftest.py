"""What holds for all tests: a machine that is busy is no reason for a property to fail."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("scaler", deadline=None)
settings.load_profile("scaler")
