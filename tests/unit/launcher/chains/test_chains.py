"""chains.yaml: what is taken, and what is refused with file, line and reason."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dfpipe import cli
from dfpipe.datastore import connect
from launcher.chains.chains import parse_chains, read_chains
from launcher.chains.places import filled
from service.errors import UsageError
from tests.support.launcher_pages import SLOT, make_warehouse
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
    assert (chain.steps[0].backoff, chain.steps[0].time_limit) == (60.0, 7200.0)


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
        pytest.param(
            "",
            "f.yaml:1: chains: missing; it is required",
            id="empty",
        ),
        pytest.param(
            "a: [",
            "f.yaml:1: not YAML",
            id="no-yaml",
        ),
        pytest.param(
            "[]",
            "f.yaml:1: the file: '[]': expected a mapping",
            id="a-list",
        ),
        pytest.param(
            "x: 1",
            "f.yaml:1: x: unknown field; expected chains",
            id="x",
        ),
        pytest.param(
            "chains: []",
            "f.yaml:1: chains: no chains: expected at least one",
            id="none",
        ),
        pytest.param(
            "chains: x",
            "f.yaml:1: chains: 'x': expected a list",
            id="no-list",
        ),
        pytest.param(
            "chains:\n- name: c\n",
            "f.yaml:2: chains[0].steps: missing",
            id="no-steps",
        ),
        pytest.param(
            "chains:\n- name: c\n  steps: []\n",
            "f.yaml:3: chains[0].steps: 0 steps: expected 1 to 200",
            id="empty-steps",
        ),
        pytest.param(
            HEAD + "  - {kind: note}\n",
            "f.yaml:4: chains[0].steps[0].name: missing",
            id="no-name",
        ),
        pytest.param(
            HEAD + "  - {name: A, kind: note}\n",
            "f.yaml:4: chains[0].steps[0].name: 'A': expected up to 40 of a-z",
            id="name",
        ),
        pytest.param(
            HEAD + "  - name: a\n    kind: magic\n",
            "f.yaml:5: chains[0].steps[0].kind: 'magic': expected 'local', 'dataflow'",
            id="kind",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: local}\n",
            "f.yaml:4: chains[0].steps[0].command: a step of the kind local needs a command",
            id="no-command",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: flex-template}\n",
            "f.yaml:4: chains[0].steps[0].template: a step of the kind flex-template needs a",
            id="no-template",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, template: x}\n",
            "f.yaml:4: chains[0].steps[0].template: a step of the kind note takes no template",
            id="template-too-many",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note}\n  - {name: a, kind: note}\n",
            "f.yaml:5: chains[0].steps[1].name: 'a' is used twice; choose another name",
            id="twice",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, needs: [b]}\n",
            "f.yaml:4: chains[0].steps[0].needs: 'b': expected one of a",
            id="unknown-step",
        ),
        pytest.param(
            HEAD
            + "  - {name: z, kind: note}\n"
            + "  - {name: a, kind: note, needs: [b, z]}\n"
            + "  - {name: b, kind: note, needs: [a]}\n",
            "f.yaml:5: chains[0].steps[1].needs: the steps need each other: a -> b -> a",
            id="cycle",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, needs: [a]}\n",
            "the steps need each other: a -> a",
            id="itself",
        ),
        pytest.param(
            HEAD + '  - {name: a, kind: local, command: ["{nothing}"]}\n',
            "f.yaml:4: chains[0].steps[0]: {nothing}: there is no such value; expected one of slot",
            id="unknown-place",
        ),
        pytest.param(
            HEAD
            + "  - {name: a, kind: note}\n"
            + '  - {name: b, kind: local, command: ["{a.job_id}"]}\n',
            "f.yaml:5: chains[0].steps[1]: {a.job_id}: there is no such value",
            id="output-of-a-step-not-needed",
        ),
        pytest.param(
            HEAD + '  - {name: a, kind: local, command: ["{"]}\n',
            "f.yaml:4: chains[0].steps[0]: '{' is not a placeholder",
            id="brace",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: {p: [1]}}\n",
            "f.yaml:4: chains[0].steps[0].parameters.p: \"['1']\": expected a text",
            id="list-as-value",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: {a b: 1}}\n",
            "'a b': expected up to 100 letters",
            id="parameter-name",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, retries: -1}\n",
            "f.yaml:4: chains[0].steps[0].retries: '-1': expected a number of at least 0",
            id="retries",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, time_limit: soon}\n",
            "f.yaml:4: chains[0].steps[0].time_limit: 'soon': expected a number and s, m, h, "
            "d or w",
            id="limit",
        ),
        pytest.param(
            HEAD + "  - {name: a, name: b, kind: note}\n",
            "f.yaml:4: name: duplicate key",
            id="field-twice",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note}\n- name: c\n  steps: [{name: a, kind: note}]\n",
            "f.yaml:5: chains[1].name: 'c' is used twice; choose another name",
            id="chain-twice",
        ),
        pytest.param(
            "[" * 5000,
            "f.yaml: not YAML: maximum recursion",
            id="deep",
        ),
        pytest.param(
            "? [a]\n: b",
            "f.yaml:1: a list or mapping as a key",
            id="list-as-name",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: check, parameters: {leest_posts: 1}}\n",
            "parameters.leest_posts: unknown parameter; expected least_posts, most_posts",
            id="parameter-of-a-check",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: check, parameters: {most_posts: many}}\n",
            "parameters.most_posts: 'many': expected a whole number",
            id="number-of-a-check",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: {p: 1}}\n",
            "parameters.p: unknown parameter; expected no parameters",
            id="parameter-of-a-note",
        ),
        pytest.param(
            HEAD
            + "  - {name: a, kind: check}\n"
            + '  - {name: b, kind: local, needs: [a], command: [x, "{a.postings}"]}\n',
            "f.yaml:5: chains[0].steps[1]: {a.postings}: there is no such value; expected one"
            " of slot, execution, chain, store, warehouse, project, region, a.job_id, a.name,"
            " a.posts, a.words",
            id="unknown-output",
        ),
        pytest.param(
            HEAD + "  - {name: a, kind: note, parameters: 1}\n",
            "f.yaml:4: chains[0].steps[0].parameters: '1': expected a mapping",
            id="parameters",
        ),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_chains(text, "f.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read .*absent.yaml: No such file"):
        read_chains(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xff")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        read_chains(tmp_path / "latin.yaml")


def test_the_documented_step_writes_a_report(tmp_path: Path) -> None:
    """docs/reference/command-line.md, `dfpipe report`: the step after those of chains.yaml."""
    text = (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    step = text.split("A chain can write a report")[1].split("```yaml\n")[1].split("```")[0]
    file = tmp_path / "chains.yaml"
    file.write_text((ROOT / "chains.yaml").read_text(encoding="utf-8") + "\n" + step)
    (*_, report) = next(iter(read_chains(file).values())).steps
    warehouse = make_warehouse(tmp_path, runs=1)
    values = {
        "warehouse": warehouse,
        "store": f"sqlite:///{tmp_path / 's.db'}",
        "slot": SLOT.isoformat(),
    }
    connect(values["store"]).close()
    given = {**report.parameters, "output": str(tmp_path / "newest.html")}
    options = [f"--{name}={filled(value, values)}" for name, value in given.items()]
    assert report.command[:2] == ("dfpipe", "report")
    result = CliRunner().invoke(cli.dfpipe, ["report", *options])
    assert result.exit_code == 0, result.output
    assert "harbour storm ferry" in (tmp_path / "newest.html").read_text(encoding="utf-8")
