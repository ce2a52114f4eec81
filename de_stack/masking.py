"""What may be shown of a text that others will read: secrets become `***`.

Belongs here: masking of addresses and of free text. Does not belong here: which values are secret
(settings), where the text goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARAMETER = re.compile(r"([\w.-]+)(\s*=\s*)('(?:\\.|[^'\\])*'|[^&;\s]*)")
_HARMLESS = frozenset(
    {"host", "port", "user", "dbname", "passfile", "sslmode", "sslrootcert", "use_ssl", "user_id"}
)
# In free text a name alone must tell: `partition=3` is no secret.
_NAMED = re.compile(
    r"(?i)([\w.-]*(?:password|passwd|pwd|secret|token|api_?key|access_?key|signature)[\w.-]*"
    r"[\"']?\s*[=:]\s*)(\"[^\"]*\"|'(?:\\.|[^'\\])*'|[^&;,\s\"']+)"
)
_LOGIN = re.compile(r"(\w+://[^:/@\s\"']*):[^\s\"']*@")
# A shorter one would mask half of every text.
_SHORTEST = 4


def without_password(address: str) -> str:
    """A URL, or libpq's `name=value ...`, with `***` for whatever may be a secret.

    >>> without_password("postgresql://u:p@h/d?sslmode=require&password=p")
    'postgresql://u:***@h/d?sslmode=require&password=***'
    """

    def masked(found: re.Match[str]) -> str:
        return found[0] if found[1].lower() in _HARMLESS else f"{found[1]}{found[2]}***"

    # As libpq reads it, a password ends at the last @ before a slash. One that somebody forgot to
    # encode may go past it, but then it leads nowhere, and the rest must not be shown either.
    found = _PARAMETER.sub(masked, re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", address))
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", found)


def without_secrets(text: str, known: Iterable[str] = ()) -> str:
    """Free text with `***` for known secrets, for logins in URLs, and for what is named like one.

    >>> without_secrets("connect to postgresql://u:p@h/d failed: password=p, partition=3")
    'connect to postgresql://u:***@h/d failed: password=***, partition=3'
    """
    for secret in sorted(set(known), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return _NAMED.sub(r"\1***", _LOGIN.sub(r"\1:***@", text))


def secrets_in(address: str) -> set[str]:
    """The passwords in an address: its login's, and its parameters' that are named like one."""
    found = {login for login in re.findall(r"://[^:/@]*:(.*)@", address) if login}
    for name, _, value in _PARAMETER.findall(address):
        if _NAMED.match(f"{name}=x"):
            found.add(value.strip("'"))
    return found
