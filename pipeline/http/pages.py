"""Pages with relative links, which a proxy may serve under any path."""

from starlette.types import Scope

_CHARSET = '<meta charset="utf-8">'


def with_base(html: str, scope: Scope) -> str:
    """Return a page whose links respect the path prefix of a proxy, if it is known.

    Without a prefix, the page's own address must end with a slash.

    Args:
        html: the page, whose first element declares UTF-8.
        scope: the scope of the request, after `PrefixMiddleware`.
    """
    prefix: str = scope.get("root_path", "")
    return html.replace(_CHARSET, f'{_CHARSET}<base href="{prefix}/">', 1) if prefix else html
