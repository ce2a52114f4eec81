"""What lies in the lake: tables by their place, and how far back a table's log reaches.

Belongs here: listing folders of the store. Does not belong here: reading a log (`lake.py`), whose
tables they are (`flow.inventory`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from de_stack.failures import TransientFailure
from de_stack.naming import split_asset, word

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

    from de_stack.settings import Settings

_LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")


def tables(settings: Settings) -> list[tuple[str, str, str]]:
    """(domain, layer, entity) of every Delta table of the namespace, by the grammar of names."""
    lake = settings.need("lake_uri").rstrip("/")
    root = f"{lake}/{settings.namespace}" if settings.namespace else lake
    found = []
    for domain in _folders(settings, root, ""):
        for name in _folders(settings, root, domain):
            try:
                place = (word(domain, "domain"), *split_asset(name))
            except ValueError:
                continue  # nobody of ours wrote there
            if _LOG in _folders(settings, root, f"{domain}/{name}"):
                found.append(place)
    return sorted(found)


def oldest_commit(settings: Settings, uri: str) -> int | None:
    """Number of the oldest commit file in a table's log; None if there is none."""
    names = [_COMMIT.fullmatch(info.base_name) for info in _listed(settings, uri, _LOG)]
    return min((int(name.group(1)) for name in names if name), default=None)


def _folders(settings: Settings, root: str, path: str) -> list[str]:
    from pyarrow.fs import FileType

    found = _listed(settings, root, path)
    return [info.base_name for info in found if info.type == FileType.Directory]


def _listed(settings: Settings, root: str, path: str) -> list[FileInfo]:
    from deltalake.exceptions import TableNotFoundError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import FileSelector

    selector = FileSelector(path, allow_not_found=True)
    try:
        store = DeltaStorageHandler(root, settings.storage_options())
        return store.get_file_info_selector(selector)
    except TableNotFoundError:
        return []  # Nothing has landed yet: the lake's own folder is not there.
    except OSError as error:
        raise TransientFailure(f"list {root}/{path}", str(error), page="lake-unreadable") from error
