"""The wheel and an editable checkout both find config.yaml and start."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARIES = sysconfig.get_path("purelib")
BUILD = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
WHERE = "from engine.config import default_path, load; load(); print(default_path())"

pytestmark = pytest.mark.slow


@dataclass
class Installed:
    """A fresh environment that borrows the libraries of this one."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path) -> str:
        environment = {**os.environ, "PYTHONPATH": LIBRARIES}
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def pip(self, *arguments: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check")
        self.run(*pip, "install", "-q", "--no-deps", *arguments)


@pytest.fixture
def fresh(tmp_path: Path) -> Installed:
    folder = tmp_path / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    return Installed(folder.resolve())


def test_the_wheel_carries_its_config(fresh: Installed) -> None:
    fresh.pip(*BUILD, ROOT)
    config = Path(fresh.run(fresh.python, "-c", WHERE))
    assert config.is_relative_to(fresh.folder)
    assert config.parent.name == "engine"
    assert config.read_bytes() == (ROOT / "config.yaml").read_bytes()
    program = fresh.folder / "bin" / "blackperp-cockpit"
    assert fresh.run(program, "--version").startswith("blackperp-cockpit ")
    assert fresh.run(program, "config", "check").startswith(f"{config}: fine")


def test_an_editable_checkout_uses_its_own_config(fresh: Installed) -> None:
    fresh.pip(*BUILD, "-e", ROOT)
    assert Path(fresh.run(fresh.python, "-c", WHERE)) == ROOT / "config.yaml"
    program = fresh.folder / "bin" / "blackperp-cockpit"
    assert fresh.run(program, "--version").startswith("blackperp-cockpit ")
