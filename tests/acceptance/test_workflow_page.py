"""The status page of workflows in a real browser: what is shown, and what the buttons do.

Gunicorn serves the page; the tasks are run by the test, when it wants them to.
"""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

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
    expect(page.locator("#about dl").first).to_be_visible()


def stages(page: Page) -> Locator:
    """The stages in the tree, without what asks for more."""
    return page.locator("#tree [data-id]")


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
    expect(person.locator("#state")).to_have_text("done")


# The list


def test_list_filter_and_pages(service: Service, person: Page) -> None:
    for number in range(70):
        stage = Open() if number % 7 else Hidden()
        stage.start()
    person.goto(f"{service.base}list")
    rows = person.locator("#rows tr")
    expect(rows).to_have_count(50)
    person.get_by_label("Class").fill(Open.class_path)
    person.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(50)
    assert set(rows.locator("a").all_inner_texts()) == {"Open"}
    person.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(10)
    assert set(rows.locator("a").all_inner_texts()) == {"Open"}
    expect(person.get_by_role("link", name="Older")).to_be_hidden()
    stay(person)
    expect(rows.first.locator(".badge")).to_have_text("waiting")
    service.run_tasks()
    expect(person.locator("#rows [data-state=done]")).to_have_count(10)
    assert has_stayed(person)
    person.get_by_role("link", name="Newest").click()
    expect(rows).to_have_count(50)
    person.get_by_role("link", name="Show all").click()
    expect(person.get_by_role("link", name="Hidden").first).to_be_visible()
    person.goto(f"{service.base}list?class=no.such.Class")
    expect(person.get_by_text("No workflow of this class.")).to_be_visible()


def test_from_the_list_to_a_workflow(service: Service, person: Page) -> None:
    root = service.start(Leaf(12))
    person.goto(f"{service.base}list")
    person.locator("#rows tr", has_text=root).get_by_role("link").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Leaf")
    expect(person.locator("#about pre").last).to_have_text("144")
    person.get_by_role("link", name="All workflows").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Workflows")


# One workflow


def test_a_thousand_children_are_folded_and_paged(service: Service, person: Page) -> None:
    root = service.start(Fan(1000))
    asked: list[str] = []
    person.on("request", lambda request: asked.append(request.url))
    show(person, service, root)
    expect(stages(person)).to_have_count(51)
    expect(person.get_by_text("1,000 stages").first).to_be_visible()
    more = person.get_by_text("Show 50 more (50 of 1,000 stages shown)")
    more.click()
    expect(stages(person)).to_have_count(101)
    # By the keyboard.
    person.get_by_role("treeitem").first.locator(".row").first.click()
    person.keyboard.press("End")
    expect(person.locator(".more")).to_be_focused()
    person.keyboard.press("Enter")
    expect(stages(person)).to_have_count(151)
    assert person.evaluate("document.activeElement.getAttribute('aria-posinset')") == "101"
    person.keyboard.press("ArrowLeft")
    expect(stages(person).first).to_be_focused()
    person.keyboard.press("ArrowLeft")
    expect(stages(person)).to_have_count(1)
    expect(stages(person).first).to_have_attribute("aria-expanded", "false")
    person.keyboard.press("ArrowRight")
    expect(stages(person)).to_have_count(51)
    assert not any("/rpc/tree" in url for url in asked)
    sizes = [url for url in asked if "count=" in url and not url.endswith(("=50", "=0"))]
    assert sizes == []


def test_one_of_a_thousand_children_failed(service: Service, person: Page) -> None:
    root = service.start(Outer(1000, 900))
    person.goto(f"{service.base}list")
    row = person.locator("#rows tr", has_text=root)
    expect(row).to_contain_text("Fails: ValueError: number 900 is bad")
    row.get_by_role("link").click()
    # The path to it is unfolded, and its details are shown.
    expect(person.locator("#failure")).to_contain_text("Fails ValueError: number 900 is bad")
    failed = person.locator("#tree .revealed")
    expect(failed).to_have_attribute("aria-selected", "true")
    expect(failed).to_have_attribute("aria-posinset", "901")
    expect(failed.locator(".row")).to_be_in_viewport()
    expect(person.locator("#about .fault-box").last).to_have_text("ValueError: number 900 is bad")
    expect(stages(person)).to_have_count(1 + 2 + 50 + 1)
    # Loading its siblings keeps their order.
    for _ in range(2):
        person.locator(".more").click()
        expect(person.locator(".more")).to_contain_text("shown")
    expect(stages(person)).to_have_count(1 + 2 + 150 + 1)
    places = stages(person).evaluate_all("all => all.map((item) => +item.ariaPosInSet)")
    assert places[3:] == [*range(1, 151), 901]


def test_stages_by_their_state(service: Service, person: Page) -> None:
    root = service.start(Outer(120, 119))
    show(person, service, root)
    aborted = person.locator("#states button[data-state=aborted]")
    counts = status.get_counts(root)["counts"]
    assert sum(counts.values()) == 123
    expect(person.locator("#states")).to_contain_text(f"{counts['done']} ")
    done = person.locator("#states button[data-state=done]")
    done.click()
    found = person.locator("#found-stages li")
    expect(found).to_have_count(50)
    expect(person.locator("#tree")).to_be_hidden()
    person.get_by_role("button", name="Show more").click()
    expect(found).to_have_count(100)
    aborted.click()
    expect(found).to_have_count(counts["aborted"])
    person.locator("#found-stages").get_by_role("link", name="Fails").click()
    expect(person.get_by_role("heading", name="Fails")).to_be_focused()
    aborted.click()
    expect(person.locator("#tree")).to_be_visible()


def test_the_keys_of_the_tree(service: Service, person: Page) -> None:
    root = service.start(Fan(3))
    show(person, service, root)
    items = person.get_by_role("treeitem")
    expect(items).to_have_count(4)
    assert person.locator("#tree [tabindex='0']").count() == 1
    items.first.focus()
    for key, place in [
        ("ArrowDown", 1),
        ("End", 3),
        ("ArrowUp", 2),
        ("Home", 0),
        ("ArrowRight", 1),
    ]:
        person.keyboard.press(key)
        expect(items.nth(place)).to_be_focused()
    person.keyboard.press(" ")
    expect(items.nth(1)).to_have_attribute("aria-selected", "true")
    expect(items.first).to_have_attribute("aria-selected", "false")
    expect(person.get_by_role("heading", name="Leaf")).to_be_visible()
    assert items.nth(1).get_attribute("aria-level") == "2"
    assert items.nth(1).get_attribute("aria-setsize") == "3"


def test_it_changes_while_the_workflow_runs(service: Service, person: Page) -> None:
    stage = Later()
    stage.start()
    show(person, service, str(stage.pipeline_id))
    expect(person.locator("#state")).to_have_text("waiting")
    stay(person)
    service.run_tasks()
    # The stages that it yields unfold by themselves.
    expect(stages(person)).to_have_count(3)
    waits = stages(person).nth(1)
    waits.locator(".row").click()
    expect(person.locator("#about .says")).to_have_text("waits to be called")
    expect(person.locator("#about").get_by_role("link", name="log")).to_be_visible()
    expect(person.locator("#about")).to_contain_text("trap: javascript:alert(1)")
    assert person.locator("#about a[href^='javascript']").count() == 0
    found: Any = workflow.Pipeline.from_id(str(waits.get_attribute("data-id")))
    found.complete(5)
    service.run_tasks()
    expect(person.locator("#state")).to_have_text("done")
    expect(person.locator("#tree [data-state=done]")).to_have_count(3)
    stages(person).nth(2).locator(".row").click()
    expect(person.locator("#about pre").last).to_have_text("25")
    # From an argument to the stage that it comes from.
    person.locator("#about [data-stage]").first.click()
    expect(person.get_by_role("heading", name="Waits")).to_be_focused()
    assert has_stayed(person)


def test_abort_and_clean_up(service: Service, person: Page) -> None:
    root = service.start(Later())
    show(person, service, root)
    abort = person.get_by_role("button", name="Abort…")
    abort.click()
    person.get_by_role("button", name="Leave it").click()
    expect(person.locator("#state")).to_have_text("run")
    expect(person.get_by_role("button", name="Clean up…")).to_be_disabled()
    abort.click()
    person.get_by_label("Reason").fill("it is not <b>needed</b>")
    person.get_by_role("button", name="Abort", exact=True).click()
    expect(person.get_by_role("status")).to_have_text("It is being aborted.")
    service.run_tasks()
    expect(person.locator("#state")).to_have_text("aborted")
    expect(person.locator("#tree [data-state=aborted]")).to_have_count(3)
    expect(person.locator(".fault-box").first).to_have_text("it is not <b>needed</b>")
    expect(abort).to_be_disabled()
    person.get_by_role("button", name="Clean up…").click()
    person.get_by_role("button", name="Remove").click()
    expect(person.get_by_role("status")).to_have_text("It is being removed.")
    service.run_tasks()
    expect(person.get_by_role("status")).to_have_text("This workflow has been removed.")
    assert workflow.Pipeline.from_id(root) is None


def test_retry_now(service: Service, person: Page) -> None:
    root = service.start(Fails("the shelf is full").with_params(backoff_seconds=3600))
    show(person, service, root)
    expect(person.locator("#state")).to_have_text("retry")
    expect(person.locator(".fault-box")).to_have_text("ValueError: the shelf is full")
    expect(person.locator("#about")).to_contain_text("2 of 3")
    person.get_by_role("button", name="Retry now").click()
    expect(person.get_by_role("status")).to_have_text("The stage is to run again.")
    service.run_tasks()
    expect(person.locator("#about")).to_contain_text("3 of 3")


def test_a_retry_that_is_refused(service: Service, person: Page) -> None:
    root = service.start(Waits(False))
    show(person, service, root)
    person.get_by_role("button", name="Retry now").click()
    expect(person.get_by_role("status")).to_contain_text("does not let itself be cancelled")


def test_run_again(service: Service, person: Page) -> None:
    root = service.start(Fan(2, note="again"))
    show(person, service, root)
    person.get_by_role("button", name="Run again").click()
    person.wait_for_url(lambda url: "status?root=" in url and root not in url)
    expect(person.locator("#state")).to_have_text("waiting")
    service.run_tasks()
    expect(person.locator("#state")).to_have_text("done")
    expect(person.locator("#about")).to_contain_text("again")


def test_a_part_of_a_workflow(service: Service, person: Page) -> None:
    root = service.start(Fan(2))
    child = service.engine.record(root).child_ids()[0]  # type: ignore[union-attr]
    show(person, service, child)
    expect(stages(person)).to_have_count(1)
    person.locator("#crumbs").get_by_role("link", name="Fan").click()
    expect(stages(person)).to_have_count(3)


def test_an_unknown_workflow(service: Service, person: Page) -> None:
    person.goto(f"{service.base}status?root=<i>none</i>")
    expect(person.get_by_role("heading", level=1)).to_have_text("No such workflow")
    expect(person.get_by_role("status")).to_contain_text("'<i>none</i>'")


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(service: Service, person: Page, scheme: Any, width: int) -> None:
    root = service.start(Fan(5, note="word " * 200))
    person.emulate_media(color_scheme=scheme)
    person.set_viewport_size({"width": width, "height": 800})
    for url in ("list", f"status?root={root}"):
        person.goto(service.base + url)
        expect(person.locator(".badge[data-state]").first).to_be_visible()
        assert person.evaluate("document.documentElement.scrollWidth") <= width
        back = person.evaluate("getComputedStyle(document.body).backgroundColor")
        assert back == {"light": "rgb(246, 245, 242)", "dark": "rgb(18, 22, 26)"}[scheme]
