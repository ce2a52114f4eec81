"""Where settings come from: the environment, and what `up` wrote down.

Belongs here: which settings come from where, the state file as it is read, the home. Does not
belong here: the settings themselves (`settings.py`), writing the state (`local/state.py`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from de_stack.failures import PermanentFailure

ADDRESSES = frozenset(
    {
        "kafka_bootstrap",
        "dagster_dsn",
        "ledger_dsn",
        "serving_dsn",
        "lake_uri",
        "checkpoint_uri",
        "spark_remote",
        "collector_url",
        "webserver_url",
        "warehouse_path",
    }
)
# What goes with the addresses of somebody else's systems: the embedded ones need none of it.
ELSEWHERE = frozenset(
    {
        "kafka_security_protocol",
        "kafka_sasl_mechanism",
        "kafka_sasl_username",
        "kafka_sasl_password",
        "kafka_ssl_cafile",
        "kafka_replicas",
        "lake_storage_options",
        "spark_config",
    }
)
# What `up` remembers for the commands that follow it.
STICKY = frozenset(
    {
        "namespace",
        "sensor_interval_seconds",
        "mart_interval_seconds",
        "generator_rate",
        "query_interval_seconds",
        "alert_webhook",
        "vacuum_retention_hours",
        "run_retention_days",
    }
)


def absolute(home: Path) -> Path:
    """The one spelling of a home: processes are told by it whose they are."""
    return home.expanduser().resolve()


def default_home() -> Path:
    """`DE_STACK_HOME`, else `.de_stack` in the checkout (when installed: in the current folder)."""
    if given := os.environ.get("DE_STACK_HOME"):
        return absolute(Path(given))
    checkout = Path(__file__).resolve().parent.parent
    root = checkout if (checkout / "pyproject.toml").exists() else Path.cwd()
    return absolute(root / ".de_stack")


def read_state(home: Path) -> dict[str, Any]:
    """Content of `<home>/state.json`; empty when nothing was ever started there.

    Raises:
        PermanentFailure: the file is there and cannot be read as JSON.
    """
    path = home / "state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _broken(path, f"not JSON: {error}") from error
    if not isinstance(state, dict):
        raise _broken(path, "not a mapping")
    return state


def _broken(path: Path, got: str) -> PermanentFailure:
    fix = "run `de-stack down`, remove the file, `de-stack up`"
    return PermanentFailure(f"read {path}", got, fix, page="settings")


def _is_embedded(given: dict[str, Any]) -> bool:
    """As the arguments say, which are read first, else the environment."""
    return (given.get("profile") or os.environ.get("DE_STACK_PROFILE") or "embedded") == "embedded"


class Environment(EnvSettingsSource):
    """The environment; in profile embedded without what is about somebody else's systems."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """What pydantic asks for one setting."""
        # Here and not afterwards: what is not read need not be JSON either.
        if field_name in ADDRESSES | ELSEWHERE and _is_embedded(self.current_state):
            return None, field_name, False
        return super().get_field_value(field, field_name)


class StateSource(PydanticBaseSettingsSource):
    """Settings that `de-stack up` wrote down."""

    def __init__(self, settings_cls: type[BaseSettings], names: frozenset[str]) -> None:
        super().__init__(settings_cls)
        self._names = names

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Nothing: all come at once, from the call."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """What the state has of the names; nothing in profile external."""
        if not _is_embedded(self.current_state):
            return {}
        home = self.current_state.get("home")
        state = read_state(absolute(Path(home)) if home else default_home())
        return {k: v for k, v in state.get("settings", {}).items() if k in self._names}


def variable(name: str) -> str:
    """The environment's word for a setting: `DE_STACK_NAMESPACE`."""
    return f"DE_STACK_{name.upper()}"
