"""What is known to have been made, wherever it lies: in a dvc.lock, in records of the remote, in cache or remote."""

from __future__ import annotations

import contextlib
import json
import threading
from functools import cached_property
from pathlib import Path

from flows import records
from flows.records import Entry, Records

PATIENCE = 10.0
"""Seconds for which a remote is waited for, before only what is on this machine counts."""


class Known(Records):
    """Entries of every dvc.lock that was looked at, records of the remote, and small files of cache and remote."""

    def __init__(self, root: Path) -> None:
        from dvc.repo import Repo

        super().__init__(root)
        with Repo(str(root)) as repo:
            self._cache = repo.cache.local
        self._learned: dict[str, Entry] = {}

    @cached_property
    def remote(self) -> bool:
        """Whether there is a DVC remote that answers."""
        from dvc.config import NoRemoteError

        try:
            records.patiently(lambda: self._odb.exists("0" * 32), str(self._odb.path), PATIENCE)
        except (NoRemoteError, records.Unreachable):
            return False
        return True

    def learn(self, entry: Entry) -> None:
        """Take note of an entry; the first of a key stays."""
        self._learned.setdefault(records.key_of(entry), entry)

    def find(self, wanted: str) -> Entry | None:
        """The entry of that key, whether or not its outputs still exist."""
        return self._learned.get(wanted) or (self.record(wanted) if self.remote else None) or self._earlier.get(wanted)

    def has(self, md5: str) -> bool:
        """Whether the cache or the remote holds that object."""
        return bool(self._cache.exists(md5)) or (self.remote and super().has(md5))

    def read(self, md5: str) -> bytes:
        """A small object; raises FileNotFoundError where neither cache nor remote has it."""
        for odb in (self._cache, *([self._odb] if self.remote else [])):
            path = odb.oid_to_path(md5)
            if odb.fs.exists(path):
                return odb.fs.cat_file(path)
        raise FileNotFoundError(md5)

    def files(self, md5: str) -> dict[str, str]:
        """What a folder holds: relative path -> md5."""
        if md5 not in self._trees:
            self._trees[md5] = {file["relpath"]: file["md5"] for file in json.loads(self.read(md5))}
        return self._trees[md5]


def there(root: Path, md5s: set[str], seconds: float = 2.0) -> set[str]:
    """Those objects that the DVC remote has; none where there is no remote, or it takes longer than `seconds`."""
    from dvc.config import NoRemoteError

    found: set[str] = set()
    try:
        remote = Records(root)._odb
    except NoRemoteError:
        return found

    def ask() -> None:
        with contextlib.suppress(Exception):  # every kind of remote has errors of its own
            found.update(remote.list_oids_exists(md5s))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return set(found)
