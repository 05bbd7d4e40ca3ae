"""Hooks of MkDocs: README.md is the front page, and links to files outside docs/ lead to pages.

Whatever of the repository the pages link to becomes a page of the site: Markdown as it is, other
files and folders as their text. So no link leaves the site, and none breaks where there is no
web page of the repository.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from links import anchor, links, replace_links
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

_ROOT = Path(__file__).resolve().parents[2]
_FRONT_PAGE = "README.md"
_OUTSIDE = "repository"
"""Folder of the site for what lies outside docs/."""
_MAX_BYTES = 200_000
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".json": "json", ".sh": "bash"}


def on_config(config: Any) -> Any:
    """Give headings the anchors that they have on GitHub."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = anchor
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Add the front page, and whatever the pages link to."""
    pages = [_path_in_repository(file.src_uri) for file in files.documentation_pages()]
    waiting, seen = [_FRONT_PAGE, *pages], set(pages)
    while waiting:
        path = waiting.pop()
        if path not in seen:
            files.append(_make_file(path, config))
            seen.add(path)
        if path.endswith(".md"):
            waiting += [target for target in _targets(path) if target not in seen]
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Let links lead to where the files are in the site."""
    here = page.file.src_uri
    path = _path_in_repository(here)

    def replace(target: str) -> str:
        file, hash_sign, name = target.partition("#")
        linked = _linked_path(path, file)
        if linked is None:
            return target
        return relpath(_path_in_site(linked), PurePosixPath(here).parent) + hash_sign + name

    return replace_links(markdown, replace)


def _targets(path: str) -> Iterator[str]:
    """Return what a page links to of the repository that is no asset of docs/."""
    for _, target in links((_ROOT / path).read_text("utf-8")):
        linked = _linked_path(path, target.partition("#")[0])
        if linked is not None and not linked.startswith("docs/"):
            yield linked


def _linked_path(page: str, target: str) -> str | None:
    """Return the path in the repository of the target of a link, None for anything else."""
    if not target or "://" in target or target.startswith(("/", "mailto:")):
        return None
    path = normpath(PurePosixPath(page).parent / target)
    if path.startswith("..") or not (_ROOT / path).exists():
        return None
    readme = PurePosixPath(path) / _FRONT_PAGE
    return str(readme) if (_ROOT / readme).is_file() else path


def _path_in_site(path: str) -> str:
    if path == _FRONT_PAGE:
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{_OUTSIDE}/{path}" if path.endswith(".md") else f"{_OUTSIDE}/{path}.md"


def _path_in_repository(src_uri: str) -> str:
    if src_uri == "index.md":
        return _FRONT_PAGE
    if src_uri.startswith(f"{_OUTSIDE}/"):
        path = src_uri.removeprefix(f"{_OUTSIDE}/")
        return path if (_ROOT / path).exists() else path.removesuffix(".md")
    return f"docs/{src_uri}"


def _make_file(path: str, config: Any) -> File:
    source = _ROOT / path
    if path.endswith(".md"):
        return File.generated(config, _path_in_site(path), abs_src_path=str(source))
    return File.generated(config, _path_in_site(path), content=_as_page(source))


def _as_page(source: Path) -> str:
    """Return a page with the text of a file, or of all files in a folder."""
    if source.is_file():
        return f"# {source.relative_to(_ROOT)}\n\n{_as_code(source)}"
    shown = [file for file in sorted(source.rglob("*")) if _is_shown(file)]
    if not shown:
        raise PluginError(f"{source.relative_to(_ROOT)}: there is nothing to show in it")
    texts = [f"## {file.relative_to(source)}\n\n{_as_code(file)}" for file in shown]
    return "\n".join([f"# {source.relative_to(_ROOT)}\n", *texts])


def _is_shown(file: Path) -> bool:
    parts = file.relative_to(_ROOT).parts
    if any(part.startswith((".", "__pycache__")) or part.endswith(".egg-info") for part in parts):
        return False
    return file.is_file() and file.name != "__init__.py"


def _as_code(file: Path) -> str:
    data = file.read_bytes()
    if len(data) > _MAX_BYTES:
        raise PluginError(f"{file.relative_to(_ROOT)}: too large for a page, {len(data)} bytes")
    return f"````{_LANGUAGES.get(file.suffix, 'text')}\n{data.decode('utf-8').rstrip()}\n````\n"
