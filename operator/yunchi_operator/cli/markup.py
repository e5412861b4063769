"""The few parts of which the HTML answer is made: escaped text, tables, the style sheet and the page around them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

STYLE: Final = """
body{font:14px/1.45 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;color:#1a1a1a;background:#fff;
margin:2rem auto;max-width:75rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid #ccc}
h3{font-size:1rem;margin:1rem 0 .3rem}
p{margin:.3rem 0}.quiet{color:#595959}
dl{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
dl div{border:1px solid #ccc;border-radius:4px;padding:.4rem .8rem}
dt{color:#595959;font-size:.85rem}dd{margin:0;font-size:1.3rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;margin:.4rem 0}
th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #e4e4e4;vertical-align:top}
th{color:#595959;font-weight:600}
.number{text-align:right;font-variant-numeric:tabular-nums}
tr.total td{font-weight:600;border-top:1px solid #1a1a1a}
td{overflow-wrap:anywhere}
svg{display:block;max-width:100%;height:auto}
.legend span{display:inline-block;margin-right:1rem;white-space:nowrap}
.legend svg{display:inline-block;vertical-align:-1px;margin-right:.3rem}
@media print{@page{size:A4 landscape;margin:12mm}body{margin:0;max-width:none}
h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""
MOST_ROWS: Final = 1000
"""A page with more rows serves nobody; the JSON form has all."""


def text(value: object) -> str:
    """Anything as text that cannot become markup, nor turn the direction of what follows."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
    return escape(shown, quote=True)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Iterable[int] = (), total: bool = False
) -> str:
    """A table.

    Args:
        heads: column titles.
        rows: cells, which are escaped here.
        numbers: columns that are aligned to the right.
        total: whether the last row is the sum of the others.
    """
    right = frozenset(numbers)

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(
            f'<{tag} class="number">{text(cell)}</{tag}>' if number in right else f"<{tag}>{text(cell)}</{tag}>"
            for number, cell in enumerate(row)
        )

    shown = rows[:MOST_ROWS]
    lines = [f"<tr>{cells('td', row)}</tr>" for row in shown]
    if total and lines:
        lines[-1] = lines[-1].replace("<tr>", '<tr class="total">', 1)
    rest = len(rows) - len(shown)
    more = f'<p class="quiet">and {rest:,} more rows; yunchi plan … -o json has them all</p>' if rest else ""
    return f"<table><thead><tr>{cells('th', heads)}</tr></thead><tbody>{''.join(lines)}</tbody></table>{more}"


def section(title: str, *parts: str) -> str:
    """A heading and what belongs under it; nothing when there is nothing."""
    inside = "".join(parts)
    return f"<h2>{text(title)}</h2>{inside}" if inside else ""


def figures(pairs: Iterable[tuple[str, object]]) -> str:
    """The numbers that matter, side by side."""
    return f"<dl>{''.join(f'<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>' for name, value in pairs)}</dl>"


def document(title: str, body: str) -> str:
    """A whole page that loads nothing and runs nothing: its policy allows one style sheet, by its hash."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
