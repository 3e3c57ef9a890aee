"""Files that are there whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from service import files
from service.files import private_folder, write_whole


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("content", ["é\n", b"\x00\xff", ""])
def test_a_file_is_created_and_replaced(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "result.json"
    for each in ("before", content):
        write_whole(file, each)
    assert file.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert (mode(file), os.listdir(tmp_path)) == (0o644, ["result.json"])


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "token"
    write_whole(file, "old")
    write_whole(file, "secret", mode=0o600)
    assert mode(file) == 0o600


def test_the_order_of_what_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on the disk before the name, and the name before the call returns."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(number: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file"
        done.append(f"sync {kind}")
        fsync(number)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))
    write_whole(tmp_path / "a", "b")
    assert done == ["sync file", "rename", "sync folder"]


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    write_whole(file, "old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, "new")
    assert (file.read_text(), os.listdir(tmp_path)) == ("old", ["a"])


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    stale, fresh, other = (tmp_path / f for f in (".a.1.part", ".a.2.part", ".b.3.part"))
    for each in (stale, fresh, other):
        each.touch()
    old = fresh.stat().st_mtime - files.STALE - 60
    for each in (stale, other):
        os.utime(each, (old, old))
    write_whole(tmp_path / "a", "")
    assert sorted(os.listdir(tmp_path)) == [".a.2.part", ".b.3.part", "a"]


def test_a_private_folder(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "data" / "inner")
    assert mode(folder) == 0o700
    folder.chmod(0o750)
    assert mode(private_folder(folder)) == 0o750
