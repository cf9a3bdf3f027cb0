"""What CLDR knows in simplified Chinese, as plain tables.

Source: Unicode CLDR as carried by Babel (locale zh_Hans and Babel's global tables). Only names of 2 to 8
Chinese characters are kept, so that a name is one word without brackets, Latin letters or spaces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

NAME = re.compile(r"[\u4e00-\u9fff]{2,8}")
NOT_PLACES = {"XA", "XB", "ZZ", "UN", "EU", "EZ", "QO", "AQ"}
NOT_TONGUES = {"und", "mul", "zxx", "tlh"}
NOT_MONEY = {"XXX", "XTS", "XAU", "XDR", "XBA", "XBB", "XEU", "XFO", "XSU"}
NOT_SCRIPTS = {"Zinh", "Zmth", "Zsye", "Zsym", "Zxxx", "Zyyy", "Zzzz", "Hans", "Hant", "Jamo", "Hrkt"}


@dataclass(frozen=True)
class Tender:
    """A currency in a territory: `until` is None while it is in use."""

    currency: str
    since: int
    until: int | None


@dataclass(frozen=True)
class World:
    """Tables keyed by CLDR codes; every code in them has a Chinese name in `places`, `tongues`, ..."""

    places: dict[str, str]
    tongues: dict[str, str]
    money: dict[str, str]
    scripts: dict[str, str]
    official: dict[str, tuple[str, ...]]  # territory -> languages
    spoken: dict[str, tuple[tuple[str, float], ...]]  # territory -> (language, percent), largest first
    tenders: dict[str, tuple[Tender, ...]]  # territory -> currencies, newest first
    cities: dict[str, tuple[str, ...]]  # territory -> cities that name its time zones
    weeks: dict[str, tuple[int, int, int]]  # territory -> first day, weekend's start and end
    written: dict[str, str]  # language -> script
    homes: dict[str, str]  # language -> territory where most speakers live
    own_names: dict[str, str]  # language -> what its speakers call it
    plurals: dict[str, int]  # language -> number of plural categories
    leftward: frozenset[str]  # languages and scripts written right to left


@lru_cache(maxsize=1)
def world() -> World:
    """Read the tables once (about one second). Raises ImportError where Babel is not installed."""
    from babel import Locale
    from babel.core import get_global

    chinese = Locale.parse("zh_Hans")
    places = _names(chinese.territories, lambda c: c.isalpha() and c not in NOT_PLACES)
    tongues = _names(chinese.languages, lambda c: "_" not in c and c not in NOT_TONGUES)
    money = _names(chinese.currencies, lambda c: c not in NOT_MONEY)
    scripts = _names(chinese.scripts, lambda c: c not in NOT_SCRIPTS)

    official, spoken = {}, {}
    for place, table in get_global("territory_languages").items():
        rows = sorted(
            ((c, facts) for c, facts in table.items() if c in tongues),
            key=lambda row: (-row[1]["population_percent"], row[0]),
        )
        if place in places and rows:
            official[place] = tuple(
                c for c, facts in rows if facts["official_status"] in ("official", "de_facto_official")
            )
            spoken[place] = tuple((c, facts["population_percent"]) for c, facts in rows)

    written, homes, own_names, plurals, leftward = {}, {}, {}, {}, set()
    subtags = get_global("likely_subtags")
    for code in tongues:
        _, script, home = subtags.get(code, "__").split("_")
        script = script.replace("Hans", "Hani")
        if script in scripts:
            written[code] = script
        if home in places:
            homes[code] = home
        locale = _locale(code)
        if locale is None:
            continue
        plurals[code] = len(locale.plural_form.tags) + 1
        own = (locale.languages.get(code) or "").strip()
        if own and not re.search(r"[\s()\u4e00-\u9fff]", own):
            own_names[code] = own
        if locale.text_direction == "rtl":
            leftward |= {code, written.get(code, code)}

    return World(
        places,
        tongues,
        money,
        scripts,
        official,
        spoken,
        {p: _tenders(rows, money) for p, rows in get_global("territory_currencies").items()},
        _cities(chinese, get_global("territory_zones"), places),
        _weeks(subtags, places),
        written,
        homes,
        own_names,
        plurals,
        frozenset(leftward),
    )


def _names(table, wanted) -> dict[str, str]:
    """Code -> name for names that are one Chinese word; of two equal names the first code wins."""
    chosen: dict[str, str] = {}
    for code in sorted(table):
        if wanted(code) and NAME.fullmatch(table[code]) and table[code] not in chosen.values():
            chosen[code] = table[code]
    return chosen


def _tenders(rows, money) -> tuple[Tender, ...]:
    kept = [
        Tender(code, since[0], until[0] if until else None)
        for code, since, until, legal in rows
        if legal and since and code in money
    ]
    return tuple(sorted(kept, key=lambda t: (t.until is not None, -t.since, t.currency)))


def _cities(chinese, zones, places) -> dict[str, tuple[str, ...]]:
    found = {}
    for place, names in zones.items():
        cities = [chinese.time_zones.get(zone, {}).get("city") or "" for zone in names]
        kept = tuple(c for c in cities if NAME.fullmatch(c) and c not in places.values())
        if place in places and kept:
            found[place] = kept
    return found


def _weeks(subtags, places) -> dict[str, tuple[int, int, int]]:
    found = {}
    for place in places:
        locale = _locale(subtags.get("und_" + place, ""))
        if locale is not None and locale.territory == place:
            found[place] = (locale.first_week_day, locale.weekend_start, locale.weekend_end)
    return found


def _locale(code: str):
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(code)
    except (UnknownLocaleError, ValueError):
        return None
