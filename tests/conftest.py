"""What holds for all tests: the same examples each time, and a busy machine is no reason for a property to fail."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
# SCALER_TEST_EXAMPLES=new looks for what no example has shown yet.
settings.register_profile("new", deadline=None)
settings.load_profile(os.environ.get("SCALER_TEST_EXAMPLES", "same"))
