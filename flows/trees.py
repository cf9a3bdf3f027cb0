"""Git on a machine of many: the commit a run is about, and work trees of it that no two stages share."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

REFS = "refs/qujing"
"""Where a run's commit is put on `origin`, so that workers can fetch what is on no branch."""

AUTHOR = {
    "GIT_AUTHOR_NAME": "qujing",
    "GIT_AUTHOR_EMAIL": "qujing@localhost",
    "GIT_COMMITTER_NAME": "qujing",
    "GIT_COMMITTER_EMAIL": "qujing@localhost",
}
"""Who commits where git knows nobody."""


class GitError(Exception):
    """A git command failed; the message is git's own last line."""


def git(root: Path, *arguments: str, **environment: str) -> str:
    """What a git command prints; raises `GitError` where it fails."""
    command = ["git", "-c", "gc.auto=0", *arguments]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing said").splitlines()[-1]
        raise GitError(f"git {arguments[0]}: {said}")
    return done.stdout.strip()


def snapshot(root: Path) -> str:
    """A commit of the tracked files as they stand at `root`, edits that nobody committed included.

    It is HEAD where nothing was edited; else a child of HEAD that is on no branch, the same for the same edits.
    """
    index = Path(git(root, "rev-parse", "--absolute-git-dir")) / "qujing.index"
    shutil.copy(git(root, "rev-parse", "--path-format=absolute", "--git-path", "index"), index)
    try:
        git(root, "add", "--update", GIT_INDEX_FILE=str(index))
        tree = git(root, "write-tree", GIT_INDEX_FILE=str(index))
    finally:
        index.unlink()
    head = git(root, "rev-parse", "HEAD")
    if tree == git(root, "rev-parse", "HEAD^{tree}"):
        return head
    when = git(root, "show", "-s", "--format=%ct", "HEAD")
    dates = {"GIT_AUTHOR_DATE": f"{when} +0000", "GIT_COMMITTER_DATE": f"{when} +0000"}
    return git(root, "commit-tree", tree, "-p", head, "-m", "The work tree as it stands", **AUTHOR, **dates)


def unknown(root: Path) -> list[str]:
    """Files among the stages' code that git does not know, so that no snapshot has them."""
    return git(root, "ls-files", "--others", "--exclude-standard", "stages").splitlines()


def publish(root: Path, commit: str) -> None:
    """Put the commit on `origin`, for workers to fetch."""
    git(root, "push", "--quiet", "--force", "origin", f"{commit}:{REFS}/{commit}")


def withdraw(root: Path, commit: str) -> None:
    """Take it away again; nothing happens where it is gone already."""
    try:
        git(root, "push", "--quiet", "--delete", "origin", f"{REFS}/{commit}")
    except GitError:
        return


@contextmanager
def tree(home: Path, commit: str) -> Iterator[Path]:
    """A clean work tree of `commit` under `home`/.spool/trees, held for the time of the block.

    It is fetched where `home` lacks it. Every process started in the block shares the hold, so that a tree whose
    flow was killed stays taken while something still runs in it. Trees share the DVC cache and the spool of `home`.
    """
    _fetch(home, commit)
    folder = home / ".spool/trees"
    folder.mkdir(parents=True, exist_ok=True)
    place, hold = _free(folder)
    try:
        if not (place / ".git").exists():
            shutil.rmtree(place, ignore_errors=True)
            git(home, "worktree", "prune")
            git(home, "worktree", "add", "--quiet", "--detach", "--force", str(place), commit)
            _share(home, place)
        git(place, "checkout", "--quiet", "--detach", "--force", commit)
        git(place, "clean", "-fdxq", "-e", ".dvc/tmp", "-e", ".dvc/config.local", "-e", "/.spool")
        yield place
    finally:
        hold.close()


@contextmanager
def alone(home: Path, name: str) -> Iterator[None]:
    """Wait until no other process of this machine is in a block of that name."""
    folder = home / ".spool/alone"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as hold:
        fcntl.flock(hold, fcntl.LOCK_EX)
        yield


def _fetch(home: Path, commit: str) -> None:
    try:
        git(home, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        git(home, "fetch", "--quiet", "origin", f"{REFS}/{commit}")


def _free(folder: Path) -> tuple[Path, IO[str]]:
    """The first tree that nobody holds, and the hold on it, which child processes inherit."""
    number = 0
    while True:
        hold = (folder / f"{number}.lock").open("w")
        try:
            fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hold.close()
            number += 1
            continue
        os.set_inheritable(hold.fileno(), True)
        return folder / str(number), hold


def _share(home: Path, place: Path) -> None:
    """Give a new tree the machine's DVC cache, its remote's credentials and its spool."""
    from dvc.repo import Repo

    with Repo(str(home)) as repo:
        cache = repo.cache.local_cache_dir
    local = place / ".dvc/config.local"
    if (home / ".dvc/config.local").exists():
        shutil.copy(home / ".dvc/config.local", local)
    with Repo(str(place)) as repo, repo.config.edit("local") as config:
        config["cache"] = {**config.get("cache", {}), "dir": str(cache)}
    (place / ".spool").symlink_to(home / ".spool", target_is_directory=True)
