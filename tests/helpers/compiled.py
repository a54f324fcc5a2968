"""A mark for tests that need the compiled kernels."""

import pytest

from memlm import kernels

compiled = pytest.mark.skipif(not kernels.fits(), reason="the kernels are not compiled here")
