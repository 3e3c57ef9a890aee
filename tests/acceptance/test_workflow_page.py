"""The status page of workflows in a real browser: what is shown, and what the buttons do.

Gunicorn serves the page; the tasks are run by the test, when it wants them to.
"""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

import workflow
from tests.support.browser import DEADLINE_MS
from tests.support.command import environment
from tests.support.processes import free_port, process, wait_until
from tests.support.workflow_page import (
    STORE,
    Fails,
    Fan,
    Hidden,
    Later,
    Leaf,
    Open,
    Outer,
    Waits,
    make_engine,
)
from workflow.engine.local import LocalRunner
from workflow.web import status

SECRET = "a-token-of-the-tests"
expect.set_options(timeout=DEADLINE_MS)


class Service:
    """The service, and the store that it shows."""

    def __init__(self, folder: Path) -> None:
        self.store = f"sqlite:///{folder}/store.db"
        self.engine = make_engine(self.store)
        self.runner = LocalRunner(self.engine)
        self.address = f"127.0.0.1:{free_port()}"
        self.base = f"http://{self.address}/_ah/pipeline/"

    def process(self) -> Any:
        env = environment({"DFPIPE_TASK_TOKEN": SECRET, STORE: self.store})
        options = ["--threads", "4", "--bind", self.address, "--log-level", "critical"]
        return process(
            "-m", "gunicorn", *options, "tests.support.workflow_page:create_app()", env=env
        )

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.base}login", timeout=30).close()
        except urllib.error.HTTPError:
            raise
        except OSError:
            return False
        return True

    def run_tasks(self) -> None:
        """Run the tasks that are due, and those that follow."""
        while self.runner.step():
            pass

    def start(self, stage: workflow.Pipeline) -> str:
        """The id of a workflow that has run as far as it goes by itself."""
        stage.start()
        self.run_tasks()
        return str(stage.pipeline_id)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("page"))
    workflow.bind(service.engine)
    with service.process():
        wait_until(service.answers, DEADLINE_MS / 1000)
        yield service
    workflow.bind(None)
    service.engine.client.close()


@pytest.fixture
def person(service: Service, page: Page) -> Page:
    """A page of somebody who is logged in."""
    log_in(page, service.base)
    return page


def log_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Token").fill(SECRET)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def show(page: Page, service: Service, root: str) -> None:
    page.goto(f"{service.base}status?root={root}")
    expect(page.get_by_role("heading", name="Stages")).to_be_visible()


def stages(page: Page) -> Locator:
    """The links of the stages that are shown in the tree."""
    return page.locator(".tree .leaf > a[id]")


def details(page: Page) -> Locator:
    """What is shown of the chosen stage."""
    return page.locator("section.stage")


def state(page: Page) -> Locator:
    """The state of the whole workflow."""
    return page.locator(".head .badge").first


def stay(page: Page) -> None:
    """Mark the page, to see that it is not loaded again."""
    page.evaluate("window.isSame = true")


def has_stayed(page: Page) -> bool:
    return bool(page.evaluate("window.isSame === true"))


# Login


def test_login_refusal_and_logout(service: Service, page: Page) -> None:
    page.goto(f"{service.base}list?class=x.Y")
    token = page.get_by_label("Token")
    expect(token).to_be_focused()
    token.fill("not the token")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        token.press("Enter")
    assert answered.value.status == 403
    expect(page.get_by_role("alert")).to_have_text("Wrong token.")
    assert page.context.cookies() == []
    page.get_by_label("Token").fill(SECRET)
    page.get_by_label("Token").press("Enter")
    expect(page).to_have_url(f"{service.base}list?class=x.Y")
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(f"{service.base}list")
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_session_that_ends_leads_to_the_login_and_back(service: Service, person: Page) -> None:
    root = service.start(Waits(True))
    show(person, service, root)
    person.context.clear_cookies()
    expect(person.get_by_label("Token")).to_be_visible()
    person.get_by_label("Token").fill(SECRET)
    person.get_by_role("button", name="Log in").click()
    expect(person).to_have_url(f"{service.base}status?root={root}")


def test_a_link_from_elsewhere_needs_no_second_login(service: Service, person: Page) -> None:
    # The cookie is not sent with it; the login page finds out that there is a session.
    root = service.start(Leaf(2))
    link = f"{service.base}status?root={root}"
    person.goto(f"data:text/html,<a href='{link}'>elsewhere</a>")
    person.get_by_role("link").click()
    expect(person).to_have_url(link)
    expect(state(person)).to_have_text("done")


# The list


def test_list_filter_and_pages(service: Service, person: Page) -> None:
    for number in range(70):
        stage = Open() if number % 7 else Hidden()
        stage.start()
    person.goto(f"{service.base}list")
    rows = person.locator("tbody tr")
    expect(rows).to_have_count(50)
    person.get_by_label("Class").fill(Open.class_path)
    person.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(50)
    assert set(rows.locator("th a").all_inner_texts()) == {"Open"}
    person.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(10)
    assert set(rows.locator("th a").all_inner_texts()) == {"Open"}
    expect(person.get_by_role("link", name="Older")).to_have_count(0)
    stay(person)
    expect(rows.first.locator(".badge")).to_have_text("waiting")
    service.run_tasks()
    expect(person.locator("tbody [data-state=succeeded]")).to_have_count(10)
    assert has_stayed(person)
    person.get_by_role("link", name="Newest").click()
    expect(rows).to_have_count(50)
    person.get_by_role("link", name="Show all").click()
    expect(person.get_by_role("link", name="Hidden").first).to_be_visible()
    by_state = person.get_by_role("navigation", name="Workflows by state")
    done = status.get_root_counts()["done"]  # with those of other tests
    assert 70 <= done < 100
    by_state.get_by_role("link", name=f"done {done}").click()
    expect(rows).to_have_count(50)
    person.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(done - 50)
    person.goto(f"{service.base}list?state=aborted")
    expect(person.get_by_text("No workflow is in this state.")).to_be_visible()
    person.goto(f"{service.base}list?class=no.such.Class")
    expect(person.get_by_text("No workflow of this class.")).to_be_visible()


def test_from_the_list_to_a_workflow(service: Service, person: Page) -> None:
    root = service.start(Leaf(12))
    person.goto(f"{service.base}list")
    person.locator("tbody tr", has_text=root).get_by_role("link").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Leaf")
    expect(details(person).locator("pre").last).to_have_text("144")
    person.get_by_label("Where this is").get_by_role("link", name="Workflows").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Workflows")


# One workflow


def test_a_thousand_children_are_paged(service: Service, person: Page) -> None:
    root = service.start(Fan(1000))
    show(person, service, root)
    expect(stages(person)).to_have_count(51)
    expect(person.get_by_text("1,000 stages").first).to_be_visible()
    stay(person)
    person.get_by_role("link", name="Show 50 more").click()
    expect(person.get_by_text("51 to 100 of 1,000 are shown")).to_be_visible()
    expect(stages(person)).to_have_count(51)
    person.get_by_role("link", name="Show 50 before these").click()
    expect(person.get_by_text("1 to 50 of 1,000 are shown")).to_be_visible()
    person.go_back()
    expect(person.get_by_text("51 to 100 of 1,000 are shown")).to_be_visible()
    assert has_stayed(person)
    person.reload()
    expect(person.get_by_text("51 to 100 of 1,000 are shown")).to_be_visible()


def test_one_of_a_thousand_children_failed(service: Service, person: Page) -> None:
    root = service.start(Outer(1000, 900))
    person.goto(f"{service.base}list")
    row = person.locator("tbody tr", has_text=root)
    expect(row).to_contain_text("Fails: ValueError: number 900 is bad")
    row.get_by_role("link", name="Outer").click()
    # The tree is unfolded down to it, and its details are shown.
    expect(person.locator(".head .error")).to_have_text(
        "Fails failed first: ValueError: number 900 is bad"
    )
    failed = person.locator(".tree .leaf:has([aria-current])")
    expect(failed).to_contain_text("901 Fails")
    expect(failed).to_contain_text("ValueError: number 900 is bad")
    expect(details(person).locator(".error").last).to_have_text("ValueError: number 900 is bad")
    expect(stages(person)).to_have_count(1 + 2 + 50)


def test_stages_by_their_state(service: Service, person: Page) -> None:
    root = service.start(Outer(120, 119))
    show(person, service, root)
    counts = status.get_counts(root)["counts"]
    assert sum(counts.values()) == 123
    by_state = person.get_by_role("navigation", name="Stages by state")
    by_state.get_by_role("link", name=f"done {counts['done']}").click()
    expect(person.get_by_role("link", name="Show 50 more")).to_have_count(0)
    expect(stages(person)).to_have_count(50)
    person.get_by_role("link", name="More", exact=True).click()
    expect(person.get_by_role("link", name="First", exact=True)).to_be_visible()
    expect(stages(person)).to_have_count(50)
    by_state.get_by_role("link", name="aborted").click()
    expect(stages(person)).to_have_count(counts["aborted"])
    person.locator(".tree").get_by_role("link", name="Outer").click()
    expect(person.get_by_role("heading", name="Outer", level=2)).to_be_focused()
    expect(stages(person)).to_have_count(counts["aborted"])
    by_state.get_by_role("link", name="Tree").click()
    expect(person.locator(".tree details").first).to_be_visible()


def test_the_keyboard_folds_the_tree_and_opens_a_stage(service: Service, person: Page) -> None:
    root = service.start(Fan(3))
    show(person, service, root)
    person.locator(".tree summary").focus()
    person.keyboard.press("Enter")
    expect(stages(person).nth(1)).to_be_hidden()
    person.keyboard.press("Enter")
    expect(stages(person).nth(1)).to_be_visible()
    person.keyboard.press("Tab")
    expect(stages(person).nth(1)).to_be_focused()
    person.keyboard.press("Enter")
    expect(person.get_by_role("heading", name="Leaf")).to_be_focused()
    expect(stages(person).nth(1)).to_have_attribute("aria-current", "true")


def test_it_changes_while_the_workflow_runs(service: Service, person: Page) -> None:
    stage = Later()
    stage.start()
    show(person, service, str(stage.pipeline_id))
    expect(state(person)).to_have_text("waiting")
    stay(person)
    service.run_tasks()
    # The stages that it yields unfold by themselves.
    expect(stages(person)).to_have_count(3)
    person.locator(".tree").get_by_role("link", name="Waits").click()
    expect(details(person).get_by_text("waits to be called")).to_be_visible()
    expect(details(person).get_by_role("link", name="log")).to_be_visible()
    expect(details(person)).to_contain_text("trap: javascript:alert(1)")
    assert details(person).locator("a[href^='javascript']").count() == 0
    person.locator(".tree summary").click()
    waits = service.engine.record(str(stage.pipeline_id)).child_ids()[0]  # type: ignore[union-attr]
    found: Any = workflow.Pipeline.from_id(waits)
    found.complete(5)
    service.run_tasks()
    expect(state(person)).to_have_text("done")
    # What the reader has folded stays folded.
    expect(person.locator(".tree details")).not_to_have_attribute("open", "")
    person.locator(".tree summary").click()
    person.locator(".tree").get_by_role("link", name="Leaf").click()
    expect(details(person).locator("pre").last).to_have_text("25")
    # From an argument to the stage that it comes from.
    details(person).get_by_role("link", name=waits[:12]).click()
    expect(person.get_by_role("heading", name="Waits")).to_be_focused()
    assert has_stayed(person)


def test_abort_and_clean_up(service: Service, person: Page) -> None:
    root = service.start(Later())
    show(person, service, root)
    expect(person.get_by_role("button", name="Clean up")).to_have_count(0)
    person.get_by_text("Abort…").click()
    person.get_by_label("Reason").fill("it is not <b>needed</b>")
    # What is typed outlives a refresh.
    person.evaluate("shown = ''")
    person.evaluate("fetchLive()")
    expect(person.get_by_label("Reason")).to_have_value("it is not <b>needed</b>")
    person.get_by_role("button", name="Abort").click()
    expect(person.get_by_role("status")).to_have_text("The workflow is being aborted.")
    service.run_tasks()
    expect(state(person)).to_have_text("aborted")
    expect(person.locator(".tree [data-state=failed]")).to_have_count(3)
    expect(person.locator(".head .error")).to_have_text("Aborted: it is not <b>needed</b>")
    expect(person.get_by_text("Abort…")).to_have_count(0)
    questions: list[str] = []
    person.once("dialog", lambda asked: (questions.append(asked.message), asked.dismiss()))
    person.get_by_role("button", name="Clean up").click()
    assert len(questions) == 1
    assert workflow.Pipeline.from_id(root) is not None
    person.once("dialog", lambda asked: asked.accept())
    person.get_by_role("button", name="Clean up").click()
    expect(person.get_by_role("status")).to_have_text("The workflow is being deleted.")
    service.run_tasks()
    assert workflow.Pipeline.from_id(root) is None


def test_the_page_of_a_workflow_that_is_deleted_says_so(service: Service, person: Page) -> None:
    root = service.start(Leaf(2))
    show(person, service, root)
    Leaf.from_id(root).cleanup()
    service.run_tasks()
    person.evaluate("fetchLive()")
    expect(person.get_by_role("heading", level=1)).to_have_text("No such workflow")


def test_retry_now(service: Service, person: Page) -> None:
    root = service.start(Fails("the shelf is full").with_params(backoff_seconds=3600))
    show(person, service, root)
    expect(state(person)).to_have_text("retry")
    expect(details(person).locator(".error")).to_have_text("ValueError: the shelf is full")
    expect(details(person)).to_contain_text("2 of 3")
    person.get_by_role("button", name="Retry now").click()
    expect(person.get_by_role("status")).to_have_text("The stage will be retried now.")
    service.run_tasks()
    expect(details(person)).to_contain_text("3 of 3")


def test_a_retry_that_is_refused(service: Service, person: Page) -> None:
    root = service.start(Waits(False))
    show(person, service, root)
    person.get_by_role("button", name="Retry now").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Not possible now")
    expect(person.get_by_text("does not let itself be cancelled")).to_be_visible()
    person.get_by_role("link", name="Back to the workflow").click()
    expect(state(person)).to_have_text("run")


def test_run_again(service: Service, person: Page) -> None:
    root = service.start(Fan(2, note="again"))
    show(person, service, root)
    person.once("dialog", lambda asked: asked.accept())
    person.get_by_role("button", name="Run again").click()
    person.wait_for_url(lambda url: "status?root=" in url and root not in url)
    expect(state(person)).to_have_text("waiting")
    service.run_tasks()
    expect(state(person)).to_have_text("done")
    expect(details(person)).to_contain_text("again")


def test_a_part_of_a_workflow(service: Service, person: Page) -> None:
    root = service.start(Outer(3, 7))
    show(person, service, root)
    person.locator(".tree").get_by_role("link", name="Inner").click()
    person.get_by_role("link", name="Show only this part").click()
    expect(stages(person)).to_have_count(4)
    person.get_by_label("Where this is").get_by_role("link", name="Outer").click()
    expect(stages(person)).to_have_count(6)


def test_an_unknown_workflow(service: Service, person: Page) -> None:
    person.goto(f"{service.base}status?root=<i>none</i>")
    expect(person.get_by_role("heading", level=1)).to_have_text("No such workflow")
    expect(person.get_by_text("'<i>none</i>'")).to_be_visible()


def test_everything_works_without_scripts(service: Service, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    root = service.start(Outer(60, 55))
    log_in(page, f"{service.base}list")
    page.locator("tbody tr", has_text=root).get_by_role("link", name="Outer").click()
    expect(stages(page)).to_have_count(1 + 2 + 10)
    page.get_by_role("link", name="Show 50 before these").click()
    expect(stages(page)).to_have_count(1 + 2 + 50)
    page.get_by_role("navigation", name="Stages by state").get_by_text("aborted").click()
    page.locator(".tree").get_by_role("link", name="Fails").click()
    expect(details(page).locator(".error").last).to_have_text("ValueError: number 55 is bad")
    page.get_by_role("button", name="Run again").click()
    page.get_by_text("Abort…").click()
    page.get_by_label("Reason").fill("enough")
    page.get_by_role("button", name="Abort").click()
    expect(page.get_by_role("status")).to_have_text("The workflow is being aborted.")
    service.run_tasks()
    page.reload()
    expect(state(page)).to_have_text("aborted")
    page.get_by_role("button", name="Clean up").click()
    expect(page.get_by_role("status")).to_have_text("The workflow is being deleted.")
    context.close()
