"""The pages in a real browser, against a real receiver."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.page.chromium import CHROMIUM, Page, browser
from tests.acceptance.page.site import HOSTILE_RELEASE, fires, hostile_rollout, page_receiver
from tests.acceptance.receiver.harness import Receiver, body
from tests.tools import missing_is_an_error
from tests.waiting import until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(
        CHROMIUM is None and not missing_is_an_error(), reason="needs Chromium (Debian's package chromium)"
    ),
]

ROW = "document.querySelectorAll('[aria-labelledby=running] tbody tr')"


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    """A running receiver."""
    async with page_receiver(tmp_path) as running:
        yield running


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A tab of a new browser."""
    async with browser() as tab:
        yield tab


async def log_in(page: Page, receiver: Receiver, role: str = "operate", name: str = "Ana") -> None:
    """Log in as a person does."""
    await page.open(f"{receiver.url}/")
    await page.type("input[name=name]", name)
    await page.type("input[name=token]", receiver.site.token(role))
    await page.click("main button")
    await page.sees("document.getElementById('board') !== null", "the page after logging in")
    await page.loaded()


SERVICE = "page/service?name=gateway"
REPORT = "page/rollout?service=gateway&id=r9"


async def on_service(page: Page, receiver: Receiver) -> None:
    """Go to the page of the service `gateway`."""
    await page.open(f"{receiver.url}/{SERVICE}")
    await page.sees("document.querySelector('h1')?.innerText.includes('gateway')", "the page of gateway")


async def opens(page: Page, action: str) -> None:
    """Open the form of an action, as a person does."""
    form = f"form[action$='page/{action}']"
    await page.sees(f'document.querySelector("{form}") !== null', f"the form to {action}")
    await page.run(f'document.querySelector("{form}").closest("details").querySelector("summary").click()')


async def frozen(receiver: Receiver) -> None:
    """Let an alert fire and wait for its flag and its rollback."""
    await fires(receiver, "FailureRateHigh")
    await until(receiver.site.flag.exists, 20, "the flag on disk")


async def test_it_shows_what_is_frozen_and_why_and_goes_on_live(receiver: Receiver, page: Page) -> None:
    """Without a reload: the freeze, its sentence and its events; on the service's page rule, end and rollback."""
    await log_in(page, receiver)
    assert "Nothing is frozen." in await page.text()
    await page.run("window.same = true")
    await frozen(receiver)
    await page.sees("document.title.startsWith('❄ 1 frozen')", "the freeze on the page")
    await page.sees("document.body.innerText.includes('notices not delivered')", "the dead letters")
    assert "failure rate 2.31 % > 0.5 %" in await page.text()
    assert await page.run("window.same") is True
    await on_service(page, receiver)
    text = await page.text()
    for part in (
        "failure rate 2.31 % > 0.5 %",
        "The alert has been resolved for 0.5 s – the alert still fires",
        "failure-budget/failure-rate-high",
        str(receiver.site.flag),
    ):
        assert part in text
    await page.sees(f"[...{ROW}].some((row) => row.innerText.includes('rollback'))", "the rollback")


async def test_unfreeze_acknowledge_and_cancel_leave_name_and_reason(receiver: Receiver, page: Page) -> None:
    """The buttons do what they say, and the journal knows who and why. Each form leads back to the service."""
    await log_in(page, receiver)
    await frozen(receiver)
    await on_service(page, receiver)
    await opens(page, "ack")
    await page.type("form[action$='page/ack'] input[name=reason]", "reading the logs")
    await page.click("form[action$='page/ack'] button")
    await page.sees("document.body.innerText.includes('acknowledged by Ana')", "the acknowledgement")
    await page.sees(f"[...{ROW}].some((row) => row.innerText.includes('running'))", "the running rollback")
    await opens(page, "cancel")
    await page.type("form[action$='page/cancel'] input[name=reason]", "wrong release")
    await page.click("form[action$='page/cancel'] button")
    await page.sees(f"[...{ROW}].every((row) => !row.innerText.includes('rollback'))", "the end of the rollback")
    await opens(page, "unfreeze")
    await page.type("form[action$='page/unfreeze'] input[name=reason]", "false alarm")
    await page.click("form[action$='page/unfreeze'] button")
    await page.sees("document.body.innerText.includes('To undo this, freeze')", "the end of the freeze")
    assert (await page.run("location.href")).endswith(f"{SERVICE}&done=unfreeze")
    await until(lambda: not receiver.site.flag.exists(), 20, "the flag's end")
    sentences = [one["sentence"] for one in (await receiver.get("/api/v1/decisions"))["decisions"]]
    assert "Ana acknowledged gateway (reading the logs): escalation stops" in sentences
    assert "Ana unfroze gateway: false alarm" in sentences


async def test_freeze_by_hand_and_undo_it(receiver: Receiver, page: Page) -> None:
    """A person freezes a free service, and takes the freeze back."""
    await log_in(page, receiver)
    await on_service(page, receiver)
    await opens(page, "freeze")
    await page.type("form[action$='page/freeze'] input[name=reason]", "database move")
    await page.click("form[action$='page/freeze'] button")
    await page.sees("document.body.innerText.includes('database move (by Ana)')", "the freeze")
    assert receiver.site.flag.exists()
    await opens(page, "unfreeze")
    await page.type("form[action$='page/unfreeze'] input[name=reason]", "moved")
    await page.click("form[action$='page/unfreeze'] button")
    await page.sees("document.body.innerText.includes('deployments may run')", "the end of the freeze")


async def test_it_works_without_scripts(receiver: Receiver) -> None:
    """Logging in, looking and unfreezing need no JavaScript."""
    await frozen(receiver)
    async with browser(scripts=False) as page:
        await log_in(page, receiver)
        assert "failure rate 2.31 %" in await page.text()
        await page.open(f"{receiver.url}/{SERVICE}")
        await page.click("details.do:has(form[action$='page/unfreeze']) summary")
        await page.type("form[action$='page/unfreeze'] input[name=reason]", "by hand")
        await page.click("form[action$='page/unfreeze'] button")
        await page.sees("document.body.innerText.includes('The service is unfrozen.')", "the page after unfreezing")
    await until(lambda: not receiver.site.flag.exists(), 20, "the flag's end")


PAGES = ("", SERVICE, "page/incidents", "page/rollouts", REPORT, "page/letters", "page/system")


async def test_hostile_labels_are_inert(receiver: Receiver, page: Page) -> None:
    """On every page, markup in names, labels and releases is text: no element, no script, no request, no dialog."""
    assert await receiver.post(body("0.34.2", "hostile")) == 200
    await fires(receiver, "<script>alert(2)</script>", summary='"><img src=http://evil.example/x onerror=alert(3)>')
    await fires(receiver, "Steered", summary="a\u202eb \x1b[31m \x00 c")
    await until(receiver.site.flag.exists, 20, "the flag on disk")
    hostile_rollout(receiver.site.state)
    await log_in(page, receiver, name="<svg onload=alert(4)>")
    await page.open(f"{receiver.url}/{SERVICE}")
    await page.sees(f"document.body.innerText.includes('{HOSTILE_RELEASE}')", "the release's name")
    text = ""
    for path in (*PAGES, await incident_of(receiver)):
        await page.open(f"{receiver.url}/{path}")
        await page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        shown = await page.text()
        assert "<svg onload=alert(4)>" in shown
        assert not {"\u202e", "\u2066", "\x1b", "\x00"} & set(await page.run("document.documentElement.outerHTML"))
        assert HOSTILE_RELEASE in shown or "rollout" not in path
        assert await page.run("document.querySelectorAll('img, iframe, object, script:not([src])').length") == 0
        assert await page.run("document.querySelectorAll('[onload], [onerror], [style]').length") == 0
        text += shown
    assert "<script>alert(2)</script>" in text
    assert '"><img src=http://evil.example/x onerror=alert(3)>' in text
    assert page.dialogs == []
    assert [url for url in page.requests if not url.startswith((f"{receiver.url}/", "about:"))] == []
    assert page.violations == []


async def incident_of(receiver: Receiver) -> str:
    """The path of the newest incident's page."""
    state = await receiver.get("/api/v1/state")
    return f"page/incident?id={state['episodes'][0]['incident']}"


async def test_an_incident_has_a_page_and_a_file(receiver: Receiver, page: Page) -> None:
    """The list leads to the course of events; the course can be kept as Markdown."""
    await frozen(receiver)
    await log_in(page, receiver)
    await page.open(f"{receiver.url}/page/incidents")
    await page.click("td[data-name=Incident] a")
    await page.sees("document.querySelector('h1')?.innerText === 'gateway: FailureRateHigh'", "the incident's page")
    assert "Rule failure-budget/failure-rate-high starts: freeze, rollback, fallback, tell" in await page.text()
    link = await page.run("document.querySelector('a[download]').href")
    text = await page.run(f"fetch('{link}').then((answer) => answer.text())")
    assert text.startswith("# Incident of gateway: FailureRateHigh")
    async with receiver.http.get(link) as answer:
        assert answer.status == 401


async def test_the_policy_stops_what_escaping_would_miss(receiver: Receiver, page: Page) -> None:
    """Even markup that got into the page could run no script and fetch nothing."""
    await log_in(page, receiver)
    await page.run("document.body.insertAdjacentHTML('beforeend', '<img src=http://evil.example/x onerror=alert(1)>')")
    await until(lambda: page.violations, 20, "a violation in the browser's log")
    assert page.dialogs == []


async def test_typing_is_not_interrupted_by_news(receiver: Receiver, page: Page) -> None:
    """A reason that is half written stays while the page learns of more."""
    await log_in(page, receiver)
    await frozen(receiver)
    await on_service(page, receiver)
    await opens(page, "unfreeze")
    field = "document.querySelector(\"form[action$='page/unfreeze'] input[name=reason]\")"
    await page.type("form[action$='page/unfreeze'] input[name=reason]", "half a sen")
    await fires(receiver, "Another")
    await until(lambda: _is_known(receiver, "Another"), 20, "the other alert in the journal")
    await page.run("refresh()")
    assert await page.run(f"{field}.value") == "half a sen"
    assert "Another" not in await page.text()
    await page.run(f"{field}.closest('details').open = false; {field}.value = ''")
    await page.sees("document.body.innerText.includes('Another')", "the other alert")


async def _is_known(receiver: Receiver, alert: str) -> bool:
    return alert in json.dumps(await receiver.get("/api/v1/state"))


async def test_a_reader_may_only_look(receiver: Receiver, page: Page) -> None:
    """The read token shows everything and offers nothing; a forged form is refused."""
    await frozen(receiver)
    await log_in(page, receiver, role="read")
    assert "may only look" in await page.text()
    await on_service(page, receiver)
    assert await page.run("document.querySelectorAll('form').length") == 1
    status = await page.run(
        "fetch('unfreeze', {method: 'POST', body: new URLSearchParams({service: 'gateway', reason: 'x',"
        "csrf: document.querySelector('[name=csrf]').value})}).then((answer) => answer.status)"
    )
    assert (status, receiver.site.flag.exists()) == (403, True)


async def test_forms_without_the_session_are_refused(receiver: Receiver, page: Page) -> None:
    """No cookie, no token in the form, a token of another session, another origin: nothing changes."""
    await frozen(receiver)
    await log_in(page, receiver)
    wrong = await page.run(
        "Promise.all(['', 'x'.repeat(64)].map((csrf) => fetch('page/unfreeze', {method: 'POST',"
        "body: new URLSearchParams({service: 'gateway', reason: 'x', csrf})}).then((answer) => answer.status)))"
    )
    assert wrong == [403, 403]
    form = {"service": "gateway", "reason": "x"}
    async with receiver.http.post(f"{receiver.url}/page/unfreeze", data=form) as answer:
        assert answer.status == 401
    async with receiver.http.post(
        f"{receiver.url}/page/unfreeze", data=form, headers={"Origin": "http://evil.example"}
    ) as answer:
        assert answer.status == 403
    for path in (
        "/page/unfreeze",
        "/page/freeze",
        "/page/ack",
        "/page/cancel",
        "/page/dlq",
        "/page/login",
        "/page/logout",
    ):
        async with receiver.http.get(f"{receiver.url}{path}") as answer:
            assert answer.status == 405
    assert receiver.site.flag.exists()


async def test_the_cookie_is_strict_and_a_wrong_token_opens_nothing(receiver: Receiver) -> None:
    """HttpOnly, SameSite=Strict; the webhook's token is no way in."""
    for token in ("wrong", "", receiver.site.token("webhook")):
        async with receiver.http.post(f"{receiver.url}/page/login", data={"token": token}) as answer:
            assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
    good = {"token": receiver.site.token("read"), "name": "Ana"}
    async with receiver.http.post(f"{receiver.url}/page/login", data=good, allow_redirects=False) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert answer.status == 303
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    mine = {"Cookie": cookie.partition(";")[0]}
    async with receiver.http.get(f"{receiver.url}/?part=main", headers=mine) as answer:
        assert answer.status == 200
    for path in ("/?part=main", "/page/system?part=main", "/page/incident.md?id=x", "/page/changes"):
        async with receiver.http.get(f"{receiver.url}{path}") as answer:
            assert answer.status == 401


async def test_a_visitor_from_a_link_elsewhere_stays_logged_in(receiver: Receiver, page: Page, tmp_path: Path) -> None:
    """The strict cookie is not sent with a click in a mail; the page sends the visitor on to itself."""
    await log_in(page, receiver)
    mail = tmp_path / "mail.html"
    mail.write_text(f'<a href="{receiver.url}/">Open</a>')
    await page.open(mail.as_uri())
    await page.click("a")
    await page.sees("document.getElementById('board') !== null", "the page, not the way in")


async def test_logging_out_ends_it(receiver: Receiver, page: Page) -> None:
    """The browser forgets the session."""
    await log_in(page, receiver)
    await page.click("header button")
    await page.sees("document.querySelector('input[name=token]') !== null", "the way in")


async def test_a_lost_receiver_is_said(tmp_path: Path, page: Page) -> None:
    """A page that is out of date does not look as if it were not."""
    async with page_receiver(tmp_path) as receiver:
        await log_in(page, receiver)
    await page.sees("document.getElementById('live').classList.contains('stale')", "a word about the connection")
