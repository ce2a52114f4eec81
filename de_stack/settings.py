"""Every setting, typed and validated once.

Belongs here: what can be set, its default, where the value comes from. Does not belong here:
starting or calling the systems that the settings name.

Profile `embedded` (the default): `de-stack up` starts the systems and writes where they are to
`<home>/state.json`; addresses come from there and from nowhere else, so that a shell with old
exports cannot lead a process astray. Profile `external`: the systems are somebody else's and every
address comes from the environment (`DE_STACK_KAFKA_BOOTSTRAP`, ...). All other settings:
environment, then what `up` was given last, then the default.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from de_stack.failures import PermanentFailure
from de_stack.naming import Names

ADDRESSES = frozenset(
    {
        "kafka_bootstrap",
        "dagster_dsn",
        "ledger_dsn",
        "serving_dsn",
        "lake_uri",
        "spark_remote",
        "collector_url",
        "webserver_url",
        "warehouse_path",
    }
)
# What `up` remembers for the commands that follow it.
STICKY = frozenset(
    {
        "namespace",
        "sensor_interval_seconds",
        "mart_interval_seconds",
        "generator_rate",
        "alert_webhook",
        "vacuum_retention_hours",
        "run_retention_days",
    }
)


def default_home() -> Path:
    """`DE_STACK_HOME`, else `.de_stack` in the checkout (when installed: in the current folder)."""
    if given := os.environ.get("DE_STACK_HOME"):
        return Path(given).expanduser().resolve()
    checkout = Path(__file__).resolve().parent.parent
    root = checkout if (checkout / "pyproject.toml").exists() else Path.cwd()
    return root / ".de_stack"


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
    return PermanentFailure(f"read {path}", got, fix)


class _StateSource(PydanticBaseSettingsSource):
    """Settings that `de-stack up` wrote down."""

    def __init__(self, settings_cls: type[BaseSettings], names: frozenset[str]) -> None:
        super().__init__(settings_cls)
        self._names = names

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        # Arguments were read before us; the environment may come after.
        profile = self.current_state.get("profile") or os.environ.get("DE_STACK_PROFILE")
        if (profile or "embedded") != "embedded":
            return {}
        home = self.current_state.get("home")
        state = read_state(Path(home) if home else default_home())
        return {k: v for k, v in state.get("settings", {}).items() if k in self._names}


def _namespace(value: str) -> str:
    Names(value)
    return value


class Settings(BaseSettings):
    """All settings. Read once per process: `Settings()`."""

    model_config = SettingsConfigDict(
        env_prefix="DE_STACK_",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    profile: Literal["embedded", "external"] = "embedded"
    home: Path = Field(default_factory=default_home)
    namespace: Annotated[str, AfterValidator(_namespace)] = ""

    kafka_bootstrap: str | None = None
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_replicas: int = Field(default=1, ge=1)

    # libpq URLs; `?passfile=` or `PGPASSFILE` keep the password out of them.
    dagster_dsn: SecretStr | None = None
    ledger_dsn: SecretStr | None = None
    serving_dsn: SecretStr | None = None

    # A folder, or s3://..., abfss://..., gs://... with the keys that delta-rs and Spark ask for.
    lake_uri: str | None = None
    lake_storage_options: dict[str, SecretStr] = {}
    warehouse_path: Path | None = None

    # sc://host:port for Spark Connect, anything else is a master URL (spark://..., local[2]).
    spark_remote: str | None = None
    # Not shown: keys of an object store are among it.
    spark_config: dict[str, str] = Field(default={}, repr=False)

    collector_url: str | None = None
    webserver_url: str | None = None

    sensor_interval_seconds: int = Field(default=3600, ge=1)
    mart_interval_seconds: int = Field(default=3600, ge=1)
    slice_max_rows: int = Field(default=500_000, ge=1)
    generator_rate: float | None = Field(default=None, gt=0)

    # Whoever knows the address can write there.
    alert_webhook: SecretStr | None = None
    # Not less than a day: a run may read the version that it has pinned for two hours.
    vacuum_retention_hours: int = Field(default=168, ge=24)
    run_retention_days: int = Field(default=30, ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, addresses of the embedded stack, environment, what `up` was given."""
        return (
            init_settings,
            _StateSource(settings_cls, ADDRESSES),
            env_settings,
            _StateSource(settings_cls, STICKY),
        )

    @property
    def names(self) -> Names:
        """The grammar of names in this namespace."""
        return Names(self.namespace)

    def need(self, name: str) -> str:
        """Value of an address.

        Raises:
            PermanentFailure: nobody has set it, or the embedded stack was never started.
        """
        value = getattr(self, name)
        if value is None:
            fix = (
                "run `de-stack up`"
                if self.profile == "embedded"
                else f"set DE_STACK_{name.upper()}, or unset DE_STACK_PROFILE and run `de-stack up`"
            )
            raise PermanentFailure(f"find {name}", f"not set (profile {self.profile})", fix)
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    @property
    def making(self) -> str:
        """The command that makes topics and the ledger's tables in these systems."""
        return "`de-stack up`" if self.profile == "embedded" else "`de-stack init`"

    def mending(self, service: str, name: str) -> str:
        """What a person can do about a system that is away.

        Args:
            service: what `de-stack up` calls it, where it is ours.
            name: its address, where it is somebody else's.
        """
        if self.profile == "embedded":
            return f"`de-stack status`, then `de-stack up {service}`"
        return f"see that it runs where DE_STACK_{name.upper()} says (`de-stack status`)"

    def storage_options(self) -> dict[str, str]:
        """Keys of the object store in the clear, for the client that needs them."""
        return {k: v.get_secret_value() for k, v in self.lake_storage_options.items()}
