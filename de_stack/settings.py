"""Every setting, typed and validated once.

Belongs here: what can be set, its default, where the value comes from. Does not belong here:
starting or calling the systems that the settings name.

Profile `embedded` (the default): `de-stack up` starts the systems and writes where they are to
`<home>/state.json`; addresses come from there and from nowhere else, and how to log in elsewhere is
not read, so that a shell with old exports cannot lead a process astray. Profile `external`: the
systems are somebody else's and every address comes from the environment
(`DE_STACK_KAFKA_BOOTSTRAP`, ...). All other settings: environment, then what `up` was given last,
then the default. An empty variable is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from de_stack.failures import PermanentFailure
from de_stack.naming import Names
from de_stack.setting_sources import (
    ADDRESSES,
    STICKY,
    Environment,
    StateSource,
    absolute,
    default_home,
    variable,
)


def _namespace(value: str) -> str:
    Names(value)
    return value


def _refused(error: ValidationError | SettingsError, given: Collection[str]) -> PermanentFailure:
    """Which variables are wrong, why, and where they come from; never what they hold.

    Args:
        error: what pydantic says.
        given: settings that are arguments.
    """
    if isinstance(error, ValidationError):
        wrong = [
            (str(e["loc"][0]), ": ".join([*map(str, e["loc"][1:]), e["msg"]]))
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    else:
        # `error parsing value for field "spark_config" from source ...`, and its cause says why.
        found = re.search('"(.+?)"', str(error))
        wrong = [(found[1] if found else "?", f"not JSON: {error.__cause__}")]
    remembered = [
        variable(name)
        for name, _ in wrong
        if name in STICKY and name not in given and not os.environ.get(variable(name))
    ]
    told = [
        f"{variable(name)}{' (remembered by `up`)' if variable(name) in remembered else ''}: "
        + reason.removeprefix("Value error, ")
        for name, reason in wrong
    ]
    fixes = []
    if remembered:
        fixes.append(f"`{' '.join(f'{name}=' for name in remembered)} de-stack up` forgets it")
    if len(remembered) < len(wrong):
        fixes.append("correct or unset what is named; the README lists all settings")
    return PermanentFailure("read the settings", "; ".join(told), ", ".join(fixes), page="settings")


class Settings(BaseSettings):
    """All settings. Read once per process: `Settings()`.

    Raises:
        PermanentFailure: one is wrong; the message names the variable and says why.
    """

    model_config = SettingsConfigDict(
        env_prefix="DE_STACK_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    profile: Literal["embedded", "external"] = "embedded"
    home: Annotated[Path, AfterValidator(absolute)] = Field(default_factory=default_home)
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
    # Where continuous queries keep their state: a folder, or what Hadoop can read.
    checkpoint_uri: str | None = None
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
    query_interval_seconds: float = Field(default=2, gt=0, le=3600)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except (ValidationError, SettingsError) as error:
            # Pydantic's own words would show values, and some are secrets.
            raise _refused(error, values) from None

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
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, addresses of the embedded stack, environment, what `up` was given."""
        return (
            init_settings,
            StateSource(settings_cls, ADDRESSES),
            Environment(settings_cls),
            StateSource(settings_cls, STICKY),
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
            raise PermanentFailure(
                f"find {name}", f"not set (profile {self.profile})", fix, page="settings"
            )
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
