"""Where history and recordings live when the config does not say."""

from pathlib import Path

import platformdirs

from engine.config import APP, RecordingConfig, StoreConfig


def history_path(config: StoreConfig) -> Path:
    return Path(config.path).expanduser() if config.path else _data() / "history.db"


def recordings_folder(config: RecordingConfig) -> Path:
    return Path(config.path).expanduser() if config.path else _data() / "recordings"


def _data() -> Path:
    return Path(platformdirs.user_data_dir(APP))
