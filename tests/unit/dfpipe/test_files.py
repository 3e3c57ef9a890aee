"""Files that appear when they are complete."""

import os
from pathlib import Path

import pytest

from dfpipe.errors import DfpipeError
from dfpipe.files import appearing


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with appearing(path) as file:
        file.write(b"new")
        assert names(tmp_path) == [".out.part"]
    assert names(tmp_path) == ["out"]
    assert path.read_bytes() == b"new"


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".out.part").write_bytes(b"left by kill -9")
    with appearing(tmp_path / "out") as file:
        file.write(b"new")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == b"new"


def test_an_exception_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), appearing(path):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["out"]
    assert path.read_bytes() == b"old"


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with appearing(path) as file:
        with (
            pytest.raises(DfpipeError, match=r"\.out\.part is being written by another process"),
            appearing(path),
        ):
            pass
        file.write(b"first")
    assert path.read_bytes() == b"first"


def test_a_file_that_was_renamed_meanwhile_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fcntl.flock", lambda *_: os.replace(tmp_path / ".out.part", tmp_path / "out")
    )
    with pytest.raises(DfpipeError, match="wait until that has ended"), appearing(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out"]
