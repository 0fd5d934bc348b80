"""A hook of MkDocs that adds pages from outside docs/ and rewrites the links between pages for the site.

The links are written for a Git host, where a link leads to a file of the repository. On the site it leads to that
file's page; a link to a file that is not a page, such as a module, becomes plain text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "agents/embedded/README.md": "embedded.md",
}
"""Files outside docs/, and the names of their pages."""

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links rewritten to lead to pages of the site."""
    here = page.file.src_uri
    source = next((path for path, name in OUTSIDE.items() if name == here), f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        target, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", target) or not target:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        name = OUTSIDE.get(path, path.removeprefix("docs/"))
        if path.startswith("docs/") and (ROOT / path).is_dir():
            name = posixpath.join(name, "README.md")
        if files.get_file_from_path(name) is None or not (path in OUTSIDE or path.startswith("docs/")):
            return link["text"] if link["text"].startswith("`") or " " in link["text"] else f"`{link['text']}`"
        away = posixpath.relpath(name, posixpath.dirname(here) or ".")
        return f"{link['picture']}[{link['text']}]({away}{'#' + anchor if anchor else ''})"

    return LINK.sub(moved, markdown)
