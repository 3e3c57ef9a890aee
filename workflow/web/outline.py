"""The part of a workflow's tree that a page shows, whose size does not grow with the workflow."""

from dataclasses import dataclass
from itertools import chain, pairwise

from workflow.engine.engine import Engine
from workflow.errors import UnknownPipelineError
from workflow.records import Record
from workflow.web.describing import Tree
from workflow.web.reader import Reader
from workflow.web.status import places

PAGE = 50  # children of one stage
MOST_LEVELS = 12  # below the top
MOST_ABOVE = 6  # stages of the way down to the chosen stage, and this itself
MOST_STAGES = 200  # except for those on the way to the chosen stage


@dataclass(frozen=True, slots=True)
class Branch:
    """A stage in the tree: `about` as in get_stages, and the page of its children that is shown.

    `place` is which child of its parent it is, from 1, and 0 for the top. The children are those
    from the place `first`, counted from 0; there are none where they are folded.
    """

    id: str
    about: Tree
    place: int
    first: int
    children: tuple["Branch", ...]


def outline(engine: Engine, top: str, chosen: str, first: int = 0) -> Branch:
    """The tree below a stage, unfolded to the chosen stage and to its children from `first` on.

    Other stages are unfolded level by level while there is room. The tree begins at the top or, if
    the chosen stage is far below it, at one of the nearest stages above the chosen one. Raises
    UnknownPipelineError, also for a chosen stage of another workflow.
    """
    reader = Reader(engine)
    above, below = reader.record(top), reader.record(chosen)
    if above.root != below.root:
        raise UnknownPipelineError(f"the workflow of {top[:100]!r} has no stage {chosen[:100]!r}")
    path = _path(above, [*reader.ancestors(below), below])
    firsts = _firsts(path) | {chosen: first // PAGE * PAGE}
    children = _children(reader, path, firsts)
    records = [path[0], *(child for siblings in children.values() for child in siblings)]
    briefs = reader.briefs(reader.root_of(above), records)

    def branch(record: Record, place: int) -> Branch:
        begin = firsts.get(record.id, 0)
        below = children.get(record.id, [])
        branches = tuple(branch(child, begin + at) for at, child in enumerate(below, start=1))
        return Branch(record.id, briefs[record.id], place, begin, branches)

    return branch(path[0], 0)


def _path(top: Record, line: list[Record]) -> list[Record]:
    """The end of a line of descent, from the top if that is in it."""
    ids = [record.id for record in line]
    begin = ids.index(top.id) if top.id in ids else 0
    return line[begin:][-MOST_ABOVE:]


def _firsts(path: list[Record]) -> dict[str, int]:
    """Where the page of children begins on which the next stage of a path is."""
    at = places(path)
    return {parent.id: at.get(child.id, 0) // PAGE * PAGE for parent, child in pairwise(path)}


def _children(
    reader: Reader, path: list[Record], firsts: dict[str, int]
) -> dict[str, list[Record]]:
    """The children of the stages that are unfolded, read level by level."""
    following = {parent.id: child.id for parent, child in pairwise(path)}
    found: dict[str, list[Record]] = {}
    level, room = [path[0]], MOST_STAGES
    for _ in range(MOST_LEVELS):
        pages = {}
        for record in level:
            begin = firsts.get(record.id, 0)
            page = record.child_ids(begin, begin + PAGE)
            room -= len(page)
            if room >= 0 or record.id in firsts:
                # The next stage of the path may be of an earlier attempt, which has no page.
                more = {following[record.id]} - set(page) if record.id in following else set()
                pages[record.id] = [*page, *more]
        read = {each.id: each for each in reader.records(list(chain(*pages.values())))}
        for name, page in pages.items():
            found[name] = [read[each] for each in page if each in read]
        level = list(read.values())
    return found
