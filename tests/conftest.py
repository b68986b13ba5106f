"""Shared set-up: tests do not depend on what was drawn before them."""

import jaxtyping
import pytest
import torch
from accelerator import accelerator  # noqa: F401


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def without_shapes():
    """Annotations are not checked, as for a user: the code's own errors show."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
