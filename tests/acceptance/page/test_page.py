"""The page in a real browser, against a real receiver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.page.chromium import CHROMIUM, Page, browser
from tests.acceptance.page.site import HOSTILE_RELEASE, fires, page_receiver
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


async def frozen(receiver: Receiver) -> None:
    """Let an alert fire and wait for its flag and its rollback."""
    await fires(receiver, "FailureRateHigh")
    await until(receiver.site.flag.exists, 20, "the flag on disk")


async def test_it_shows_what_is_frozen_and_why_and_goes_on_live(receiver: Receiver, page: Page) -> None:
    """Without a reload: reason, rule, condition of the end, episode, action, dead letter and decisions appear."""
    await log_in(page, receiver)
    assert "Nothing is frozen." in await page.text()
    await page.run("window.same = true")
    await frozen(receiver)
    await page.sees("document.title.startsWith('❄ 1 frozen')", "the freeze on the page")
    await page.sees("document.querySelector('[aria-labelledby=lost] tbody tr') !== null", "the dead letter")
    text = await page.text()
    for part in (
        "FailureRateHigh: failure rate 2.31 % > 0.5 %",
        "alert resolved for 0.5 s",
        "failure-budget/failure-rate-high",
        str(receiver.site.flag),
    ):
        assert part in text
    assert await page.run("window.same") is True
    assert await page.run(f"[...{ROW}].some((row) => row.innerText.startsWith('rollback'))") is True


async def test_unfreeze_acknowledge_and_cancel_leave_name_and_reason(receiver: Receiver, page: Page) -> None:
    """The three buttons do what they say, and the journal knows who and why."""
    await log_in(page, receiver)
    await frozen(receiver)
    await page.sees("document.querySelector('form[action=\"page/ack\"] button') !== null", "the button")
    await page.click('form[action="page/ack"] button')
    await page.sees("document.body.innerText.includes('acknowledged by Ana')", "the acknowledgement")
    await page.sees(f"[...{ROW}].some((row) => row.innerText.includes('running'))", "the running rollback")
    await page.type('form[action="page/cancel"] input[name=reason]', "wrong release")
    await page.click('form[action="page/cancel"] button')
    await page.sees(f"[...{ROW}].every((row) => !row.innerText.startsWith('rollback'))", "the end of the rollback")
    await page.type('form[action="page/unfreeze"] input[name=reason]', "false alarm")
    await page.click('form[action="page/unfreeze"] button')
    await page.sees("document.body.innerText.includes('Nothing is frozen.')", "the end of the freeze")
    await until(lambda: not receiver.site.flag.exists(), 20, "the flag's end")
    sentences = [one["sentence"] for one in (await receiver.get("/api/v1/decisions"))["decisions"]]
    assert "Ana acknowledged gateway: escalation stops" in sentences
    assert "Ana unfroze gateway: false alarm" in sentences


async def test_it_works_without_scripts(receiver: Receiver) -> None:
    """Logging in, looking and unfreezing need no JavaScript."""
    await frozen(receiver)
    async with browser(scripts=False) as page:
        await log_in(page, receiver)
        assert "FailureRateHigh" in await page.text()
        await page.type('form[action="page/unfreeze"] input[name=reason]', "by hand")
        await page.click('form[action="page/unfreeze"] button')
        await page.sees("document.body.innerText.includes('The service is unfrozen.')", "the page after unfreezing")
    await until(lambda: not receiver.site.flag.exists(), 20, "the flag's end")


async def test_hostile_labels_are_inert(receiver: Receiver, page: Page) -> None:
    """Markup in names, labels and releases is text: no element, no script, no request, no dialog."""
    assert await receiver.post(body("0.34.2", "hostile")) == 200
    await fires(receiver, "<script>alert(2)</script>", summary='"><img src=http://evil.example/x onerror=alert(3)>')
    await until(receiver.site.flag.exists, 20, "the flag on disk")
    await log_in(page, receiver, name="<svg onload=alert(4)>")
    await page.sees(f"document.body.innerText.includes('{HOSTILE_RELEASE}')", "the release's name")
    text = await page.text()
    assert "<script>alert(2)</script>" in text
    assert '"><img src=http://evil.example/x onerror=alert(3)>' in text
    assert "<svg onload=alert(4)>" in text
    assert await page.run("document.querySelectorAll('img, svg, iframe, script:not([src])').length") == 0
    assert page.dialogs == []
    assert [url for url in page.requests if not url.startswith((f"{receiver.url}/", "about:"))] == []
    assert page.violations == []


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
    await page.sees("document.querySelector('form[action=\"page/unfreeze\"]') !== null", "the form")
    await page.type('form[action="page/unfreeze"] input[name=reason]', "half a sen")
    await fires(receiver, "Another")
    await until(lambda: _count(page, "page/board") >= 2, 20, "another look at the board")
    assert (
        await page.run("document.querySelector('form[action=\"page/unfreeze\"] input[name=reason]').value")
        == "half a sen"
    )
    await page.run("document.querySelector('form[action=\"page/unfreeze\"] input[name=reason]').value = ''")
    await page.run("document.activeElement.blur()")
    await page.sees("document.body.innerText.includes('Another')", "the other alert")


def _count(page: Page, path: str) -> int:
    return sum(url.endswith(path) for url in page.requests)


async def test_a_reader_may_only_look(receiver: Receiver, page: Page) -> None:
    """The read token shows everything and offers nothing; a forged form is refused."""
    await frozen(receiver)
    await log_in(page, receiver, role="read")
    assert "may only look" in await page.text()
    assert await page.run("document.querySelectorAll('form').length") == 1
    status = await page.run(
        "fetch('page/unfreeze', {method: 'POST', body: new URLSearchParams({service: 'gateway', reason: 'x',"
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
    for path in ("/page/unfreeze", "/page/ack", "/page/cancel", "/page/dlq", "/page/login", "/page/logout"):
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
    async with receiver.http.get(f"{receiver.url}/page/board", headers=mine) as answer:
        assert answer.status == 200
    for path in ("/page/board", "/page/changes"):
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
