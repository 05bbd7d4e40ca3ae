"""Pages whose links are relative, so that a proxy may offer them under any path."""

from starlette.types import Scope

_CHARSET = '<meta charset="utf-8">'


def with_base(html: str, scope: Scope) -> str:
    """Return a page that knows the path under which a proxy offers it, if that is known.

    Without it the page's own address must end with a slash.

    Args:
        html: the page; it says first that it is UTF-8.
        scope: of the request, from behind `PrefixMiddleware`.
    """
    prefix: str = scope.get("root_path", "")
    return html.replace(_CHARSET, f'{_CHARSET}<base href="{prefix}/">', 1) if prefix else html
