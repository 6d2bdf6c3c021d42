"""Every test runs away from the developer's own home, config and environment."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples everywhere: a red run must be red again on the next machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in _FOLDERS:
            patch.setenv(name, str(home / name.lower()))
        for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
            patch.delenv(name)
        for name in ("BLACKPERP_CONFIG", "NO_COLOR", "TEXTUAL_COLOR_SYSTEM", "COLORTERM", "TMUX"):
            patch.delenv(name, raising=False)
        yield
