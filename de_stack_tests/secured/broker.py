"""A Kafka broker that asks everybody who they are, and what they may do.

Belongs here: its configuration, its users, their rights. Does not belong here: the process
(`de_stack.local.kafka` says how one is started), certificates (`authority.py`).

Clients come in by SASL_SSL with SCRAM-SHA-512. People and brokers use a door of their own, where a
certificate is asked for: nobody is anonymous, the controller's door included, and no password is an
argument of a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from de_stack.local import kafka
from de_stack.local.service import Site, listens
from de_stack_tests.secured import page
from de_stack_tests.secured.authority import Authority
from de_stack_tests.secured.processes import Crew

PORTS = ("kafka", "kafka_controller", "kafka_admin")
# Later lines of a properties file win: these come after what `up` writes.
_SECURED = """
listeners=CLIENT://127.0.0.1:{kafka},ADMIN://127.0.0.1:{kafka_admin},\\
CONTROLLER://127.0.0.1:{kafka_controller}
advertised.listeners=CLIENT://127.0.0.1:{kafka},ADMIN://127.0.0.1:{kafka_admin}
listener.security.protocol.map=CLIENT:SASL_SSL,ADMIN:SSL,CONTROLLER:SSL
inter.broker.listener.name=ADMIN
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=\\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.admin.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={certificate}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:CN=broker;User:CN=admin
"""


def start(site: Site, crew: Crew, authority: Authority) -> None:
    """Start it; it is not ready yet."""
    kafka.SERVICE.prepare(site)
    path = site.config("kafka") / "server.properties"
    files = {"certificate": authority.issue("broker"), "authority": authority.file}
    with path.open("a") as file:
        file.write(_SECURED.format(**site.ports, **files))
    crew.start("kafka", kafka.SERVICE.command(site), folder=site.data("kafka"))


def prepare(site: Site, crew: Crew, authority: Authority, passwords: Mapping[str, str]) -> None:
    """Wait until it is ready; make its users, and the rights that the page lists.

    Args:
        site: where it runs.
        crew: whose member it is.
        authority: issues the certificate of who may do all.
        passwords: of each user.
    """
    certificate = authority.issue("admin")
    crew.wait("kafka", lambda: listens(site.ports["kafka_admin"]))
    admin = _admin(site, authority.file, certificate)
    try:
        users = [_upsertion(user, password) for user, password in passwords.items()]
        refused = admin.alter_user_scram_credentials(users)
        assert not any(refused.values()), refused
        made = admin.create_acls([_rule(right) for right in page.rights()])
        assert not made["failed"], made
    finally:
        admin.close()


def _admin(site: Site, authority: Path, certificate: Path) -> Any:
    from kafka import KafkaAdminClient

    return KafkaAdminClient(
        bootstrap_servers=f"127.0.0.1:{site.ports['kafka_admin']}",
        security_protocol="SSL",
        ssl_cafile=str(authority),
        ssl_certfile=str(certificate),
        bootstrap_timeout_ms=30_000,  # type: ignore[call-arg]
    )


def _upsertion(user: str, password: str) -> Any:
    from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

    return UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)


def _rule(right: page.Right) -> Any:
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourceType,
    )

    words = "".join(f"_{c}" if c.isupper() else c for c in right.operation).strip("_").upper()
    pattern = ACLResourcePatternType.PREFIXED if right.is_prefix else ACLResourcePatternType.LITERAL
    return ACL(
        principal=right.user,
        host="*",
        operation=ACLOperation[words],
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType[right.kind.upper()], right.name, pattern),
    )
