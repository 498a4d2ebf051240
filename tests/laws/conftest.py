"""How many examples a law is tried on: `HYPOTHESIS_PROFILE=deep` for 10,000, else about a hundred."""

import os

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]  # generated conversations are large, the machine is shared

settings.register_profile("fast", max_examples=100, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("deep", max_examples=10_000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
