"""A page of the file that was half written never hides tasks."""

from pathlib import Path

from taskqueue import DatastoreError, Queue, Task, TaskQueueService, parse_config

PAGE = 8192
CONFIG = parse_config("queue:\n- {name: pull, mode: pull}\n")


def listed(path: Path) -> list[str]:
    service = TaskQueueService(f"sqlite:///{path}", CONFIG)
    try:
        leased = Queue("pull", service=service).lease_tasks(0, 1000)
        return [str(task.name) for task in leased]
    finally:
        service.client.close()


def test_no_torn_page_hides_tasks(tmp_path: Path) -> None:
    service = TaskQueueService(f"sqlite:///{tmp_path}/whole.db", CONFIG)
    names = [f"task-{n:03}" for n in range(100)]
    for name in names:
        Queue("pull", service=service).add(Task(b"x" * 300, method="PULL", name=name))
    service.client.close()
    assert listed(tmp_path / "whole.db") == names  # and now there is an index
    whole = (tmp_path / "whole.db").read_bytes()
    refused: list[str] = []
    for half in range(PAGE // 2, len(whole), PAGE):
        path = tmp_path / f"{half}.db"
        path.write_bytes(whole[:half] + bytes(PAGE // 2) + whole[half + PAGE // 2 :])
        try:
            assert listed(path) == names
        except DatastoreError as error:
            refused.append(str(error).partition(": ")[2])
    assert len(refused) > 5
    assert set(refused) == {"the store is damaged: restore it from a backup"}
