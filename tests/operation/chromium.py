"""The browser that reads the pages, for the tests that need one."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
SECONDS = 60_000
"""The time limit for a page on a busy machine, in milliseconds, the unit of Playwright."""
