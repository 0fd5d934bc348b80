"""What the tests of Prefect's and MLflow's pages share: the run form in both interfaces of Prefect, and pictures."""

import os
from pathlib import Path

from playwright.sync_api import Locator, Page, TimeoutError

SHOTS = os.environ.get("MAFT_SCREENSHOTS")
"""A folder for pictures of the pages. If it is set, the job is the default one, which takes minutes."""
DARK = {"color-scheme": '"dark"', "_mlflow_dark_mode_toggle_enabled": "true"}
LIGHT = {"color-scheme": '"light"', "_mlflow_dark_mode_toggle_enabled": "false"}
"""Entries of the browser's storage by which V1 of Prefect and MLflow choose their colours; V2 goes by the system's."""


def open_form(page: Page, deployments: str) -> None:
    """Open the form for a run of `improve`, from the page of all deployments of either interface."""
    page.goto(deployments)
    page.get_by_role("link", name="improve", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_text("Start from (Optional)").wait_for()


def section(page: Page, title: str) -> Locator:
    """The part of V1's form with this title."""
    label = page.get_by_text(f"{title} (Optional)", exact=True)
    return page.locator(".schema-form-property").filter(has=label).last


def field(page: Page, title: str) -> Locator:
    """The control of the field with this title, in V1's form."""
    return section(page, title).locator("input, textarea").first


def submit(page: Page) -> None:
    """Press *Submit* in the form of either interface until the form is left."""
    button = page.get_by_role("button", name="Submit")
    form = page.url
    button.click()
    try:
        page.wait_for_url(lambda url: url != form, timeout=10_000)
    except TimeoutError:
        if button.is_visible():  # After a correction, Prefect may need a second click.
            button.click()


def shoot(page: Page, name: str, address: str | None = None) -> None:
    """Keep a picture of the page in light and one in dark, if a folder for them is set; what was typed is lost.

    Args:
        page: the page.
        name: of the file.
        address: where the page is loaded from; by default, its present address. A view of MLflow has another one once
            it is loaded, which does not lead to the view.
    """
    if not SHOTS:
        return
    for ending, scheme, storage in (("-dark", "dark", DARK), ("", "light", LIGHT)):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.evaluate("entries => Object.entries(entries).forEach(entry => localStorage.setItem(...entry))", storage)
        address = address or page.url
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_timeout(4000)  # The charts need some time to be drawn.
        page.screenshot(path=Path(SHOTS) / f"{name}{ending}.png")
