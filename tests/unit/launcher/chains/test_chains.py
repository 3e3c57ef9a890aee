"""chains.yaml: what is taken, and what is refused with file, line and reason."""

from pathlib import Path

import pytest

from launcher.chains.chains import ChainsError, parse_chains, read_chains
from tests.support.processes import ROOT

HEAD = "chains:\n- name: c\n  steps:\n"


def test_the_default_chain() -> None:
    chains = read_chains(ROOT / "chains.yaml")
    (chain,) = chains.values()
    assert chain.name == "analysis"
    assert [(step.name, step.kind, step.needs) for step in chain.steps] == [
        ("analyse", "local", ()),
        ("check", "check", ("analyse",)),
        ("note", "note", ("check",)),
    ]
    assert chain.steps[0].parameters == {"until": "{slot}"}
    assert (chain.steps[0].backoff, chain.steps[0].limit) == (60.0, 7200.0)


def test_steps_are_ordered_by_their_needs() -> None:
    text = HEAD + (
        "  - {name: last, kind: note, needs: [left, right]}\n"
        "  - {name: right, kind: note, needs: [first]}\n"
        "  - {name: left, kind: note, needs: [first, first]}\n"
        "  - {name: first, kind: note}\n"
    )
    steps = parse_chains(text)["c"].steps
    assert [step.name for step in steps] == ["first", "right", "left", "last"]
    assert steps[2].needs == ("first",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "f.yaml:1: the file is empty; give chains: and a list", id="empty"),
        pytest.param("a: [", "f.yaml:1: this is no YAML", id="no-yaml"),
        pytest.param("[]", "f.yaml:1: the file is no mapping; give chains", id="a-list"),
        pytest.param("x: 1", "f.yaml:1: the file has 'x', which is no field; give chains", id="x"),
        pytest.param("chains: []", "f.yaml:1: there are no chains; give at least one", id="none"),
        pytest.param("chains: x", "f.yaml:1: chains is no list; begin each entry", id="no-list"),
        pytest.param(
            "chains:\n- name: c\n", "f.yaml:2: the chain 'c' has no steps; give", id="no-steps"
        ),
        pytest.param(
            "chains:\n- name: c\n  steps: []\n",
            "f.yaml:3: 0 steps; give 1 to 200",
            id="empty-steps",
        ),
        pytest.param(
            HEAD + "  - {kind: note}\n", "f.yaml:4: name is missing; give name:", id="no-name"
        ),
        pytest.param(
            HEAD + "  - {name: A, kind: note}\n", "f.yaml:4: name is 'A'; give up to 40", id="name"
        ),
        pytest.param(
            HEAD + "  - name: a\n    kind: magic\n",
            "f.yaml:5: kind is 'magic'; give one of local, dataflow",
            id="kind",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: local}\n",
            "f.yaml:4: the step 'a' of kind local has no command; give it",
            id="no-command",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: flex-template}\n",
            "f.yaml:4: the step 'a' of kind flex-template has no template; give it",
            id="no-template",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, template: x}\n",
            "f.yaml:4: the step 'a' of kind note takes no template; leave it out",
            id="template-too-many",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note}\n  - {name: a, kind: note}\n",
            "f.yaml:5: the step 'a' stands twice; name it anew",
            id="twice",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, needs: [b]}\n",
            "f.yaml:4: the step 'a' needs 'b', which is no step of its chain; there are a",
            id="unknown-step",
        ),
        pytest.param(
            HEAD
            + "  - {name: z, kind: note}\n"
            + "  - {name: a, kind: note, needs: [b, z]}\n"
            + "  - {name: b, kind: note, needs: [a]}\n",
            "f.yaml:5: the steps need each other in a cycle: a -> b -> a; take one away",
            id="cycle",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, needs: [a]}\n", "in a cycle: a -> a", id="itself"
        ),
        pytest.param(
            HEAD + '  - {name: a, kind: note, parameters: {p: "{nothing}"}}\n',
            "f.yaml:4: the step 'a' has {nothing}, for which there is no value; give one of slot",
            id="unknown-place",
        ),
        pytest.param(
            HEAD
            + "  - {name: a, kind: note}\n"
            + '  - {name: b, kind: note, parameters: {p: "{a.job_id}"}}\n',
            "f.yaml:5: the step 'b' has {a.job_id}, for which there is no value",
            id="output-of-a-step-not-needed",
        ),
        pytest.param(
            HEAD + '  - {name: a, kind: note, parameters: {p: "{"}}\n',
            "f.yaml:4: the step 'a': '{' is no place: write {slot}, or {{ for a brace",
            id="brace",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: {p: [1]}}\n",
            "f.yaml:4: the parameter p is no plain value; give one text",
            id="list-as-value",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: {a b: 1}}\n",
            "f.yaml:4: the parameter 'a b' is no name or stands twice; name it anew",
            id="parameter-name",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, retries: -1}\n",
            "f.yaml:4: retries is '-1'; give a whole number from 0 to 20",
            id="retries",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, time_limit: soon}\n",
            "f.yaml:4: time_limit is 'soon'; give a number and s, m, h or d",
            id="limit",
        ),
        pytest.param(
            HEAD + "  - {name: a, name: b, kind: note}\n",
            "f.yaml:4: a step has name twice; give it once",
            id="field-twice",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note}\n- name: c\n  steps: [{name: a, kind: note}]\n",
            "f.yaml:5: the chain 'c' stands twice; name it anew",
            id="chain-twice",
        ),
        pytest.param("[" * 5000, "f.yaml:1: too many lists in lists", id="deep"),
        pytest.param("? [a]\n: b", "f.yaml:1: a field of the file is no plain", id="list-as-name"),
        pytest.param(
            HEAD + "  - {name: a, kind: check, parameters: {leest_posts: 1}}\n",
            "f.yaml:4: the step 'a' takes no parameter 'leest_posts'; give least_posts, most_posts",
            id="parameter-of-a-check",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: check, parameters: {most_posts: many}}\n",
            "f.yaml:4: most_posts is 'many'; give a whole number",
            id="number-of-a-check",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: {p: 1}}\n",
            "f.yaml:4: the step 'a' takes no parameter 'p'; give none",
            id="parameter-of-a-note",
        ),
        pytest.param(
            HEAD
            + "  - {name: a, kind: check}\n"
            + '  - {name: b, kind: local, needs: [a], command: [x, "{a.postings}"]}\n',
            "f.yaml:5: the step 'b' has {a.postings}, for which there is no value; "
            "give one of slot, execution, chain, store, warehouse, project, region, "
            "a.job_id, a.name, a.posts, a.words",
            id="unknown-output",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: 1}\n",
            "f.yaml:4: parameters is no mapping; give NAME: VALUE",
            id="parameters",
        ),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ChainsError) as caught:
        parse_chains(text, "f.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ChainsError, match="cannot read .*absent.yaml: No such file"):
        read_chains(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xff")
    with pytest.raises(ChainsError, match="it is not UTF-8 text"):
        read_chains(tmp_path / "latin.yaml")
