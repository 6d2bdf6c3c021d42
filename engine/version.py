"""The program's version, as installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("blackperp-cockpit")
except PackageNotFoundError:
    VERSION = "unknown"
