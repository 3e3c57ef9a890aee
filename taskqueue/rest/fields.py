"""Partial responses: the parameter `fields` of Google's APIs."""

from typing import Any

Tree = dict[str, "Tree"]


def parse_fields(text: str) -> Tree:
    """The tree of names in a selector; an empty tree below a name means all of it.

    Raises ValueError for a selector of the wrong form.

    >>> parse_fields("kind,items(id,payloadBase64),acl/adminEmails")
    {'kind': {}, 'items': {'id': {}, 'payloadBase64': {}}, 'acl': {'adminEmails': {}}}
    """
    root: Tree = {}
    stack, here = [root], root
    name = ""
    for char in text + ",":
        if char not in ",/()":
            name += char
            continue
        if name:
            here = here.setdefault(name, {})
        elif char in "/(":
            raise ValueError("a name is missing")
        name = ""
        if char == "(":
            stack.append(here)
        elif char == ")":
            if len(stack) == 1:
                raise ValueError("a parenthesis too many")
            here = stack.pop()
        elif char == ",":
            here = stack[-1]
    if len(stack) > 1:
        raise ValueError("a parenthesis is not closed")
    return root


def select(value: object, tree: Tree) -> Any:
    """The part of a resource that the tree names; of a list, that part of each item."""
    if not tree:
        return value
    if isinstance(value, list):
        return [select(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    if "*" in tree:
        return {name: select(part, tree["*"]) for name, part in value.items()}
    return {name: select(value[name], below) for name, below in tree.items() if name in value}
