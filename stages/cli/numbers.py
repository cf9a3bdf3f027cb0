"""Commands on numbers: closed forms."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import Annotated

import typer

from stages.cli.app import app, refusing

WHOLE = 200  # bits of a term that is shown whole


@app.command(context_settings={"ignore_unknown_options": True})  # so that -1 is a number
def recurrence(
    a: Annotated[str, typer.Argument(metavar="A", help="Numbers as 3, -1/4 or 0.1 (exactly a tenth).")],
    b: Annotated[str, typer.Argument(metavar="B")],
    c: Annotated[str, typer.Argument(metavar="C")],
    start: Annotated[str, typer.Argument(metavar="A0")],
    terms: Annotated[int, typer.Option(help="Terms to show and to check the formula with.")] = 8,
    digits: Annotated[int, typer.Option(help="Digits of constants.")] = 30,
) -> None:
    """Say which closed form a(n+1) = A a(n)^2 + B a(n) + C has from a(0) = A0, if any, and check it against the terms.

    Example: `qujing recurrence 1 0 1 1`
    """
    from stages.classic.recurrences.quadratic import Recurrence, number
    from stages.classic.recurrences.solve import off, solve
    from stages.core.errors import Refusal

    with refusing():
        if terms < 1 or not 1 <= digits <= 10_000:
            raise Refusal("ask for one term or more, and for 1 to 10000 digits")
        given = zip(("A", "B", "C", "A0"), (a, b, c, start), strict=True)
        asked = Recurrence(*(number(text, name) for name, text in given))
        found = solve(asked, digits, terms)
        print(f"kind     {found.kind}")
        print(f"formula  {found.formula}")
        if found.first:
            print(f"holds    from n = {found.first} on")
        for n, term in enumerate(islice(asked.terms(), terms)):
            print(f"a({n})     {_shown(term)}")
        if found.kind != "none" and terms > found.first:
            print(f"checked  off by at most {off(asked, found, terms, digits):.1e} (relative above 1)")


def _shown(term: Fraction) -> str:
    """A term as it is, or as a decimal number where it is long."""
    import mpmath

    from stages.classic.recurrences.quadratic import bits, real

    return str(term) if bits(term) <= WHOLE else f"{mpmath.nstr(real(term), 15)}..."
