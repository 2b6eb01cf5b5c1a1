"""What a test needs and may not find: it skips with a reason on a laptop, and fails where CI is set, so that no gap is silent."""

from __future__ import annotations

import os
from typing import Any

import pytest


def require(condition: Any, reason: str) -> None:
    """Go on if `condition` is true; otherwise skip the test locally, and fail it where the environment variable CI is set."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(reason)
