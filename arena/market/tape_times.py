"""Dates and times of a tape: read by form, never guessed.

Accepted, each with an optional clock, AM/PM and zone: ISO (2020-01-31, 2020/01/31, 2020.01.31, 20200131),
day-first or month-first with a four-digit year (31.01.2020, 01/31/2020), month names (31-Jan-2020,
Jan 31, 2020), and Unix time in seconds, milliseconds or microseconds (2001 to 2030).
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

Order = str | None
"""'day' or 'month' first, None while nothing decides."""

_CLOCK: Final = (
    r"(?:[T ]+(?:(?P<hour>[0-9]{1,2})"
    r"(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?:[ -]?(?P<half>[AaPp])[Mm])?|(?P<compact>[0-9]{4}|[0-9]{6})))?"
    r" ?(?P<zone>Z|UTC|GMT)? ?(?P<offset>[+-][0-9]{2}:?[0-9]{2})?"
)
_ISO, _COMPACT, _NUMERIC, _DAY_NAME, _NAME_DAY = _FORMS = tuple(
    re.compile(form + _CLOCK)
    for form in (
        r"(?P<year>[0-9]{4})(?P<sep>[-/.])(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2})",
        r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
        r"(?P<a>[0-9]{1,2})(?P<sep>[-/.])(?P<b>[0-9]{1,2})(?P=sep)(?P<year>[0-9]{4})",
        r"(?P<day>[0-9]{1,2})[- ](?P<name>[A-Za-z]{3,9})[- ,]+(?P<year>[0-9]{4})",
        r"(?P<name>[A-Za-z]{3,9})\.? (?P<day>[0-9]{1,2}),? (?P<year>[0-9]{4})",
    )
)
# Seconds from 2001 to 2030 only: 2020013112 is more likely a date with its hour run together.
_EPOCH: Final = re.compile(r"1[0-8][0-9]{8}(?:[0-9]{3}|[0-9]{6})?(?:\.0*)?")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIRST_YEAR, _LAST_YEAR = 1800, 2200


def infer_order(texts: Iterable[str]) -> tuple[Order, int | None, int | None]:
    """Return (order, row that needs an order, row that contradicts it); rows are counted from 0.

    The order is decided by any date of which only one reading is possible, 13/01/2020 or 01/13/2020.
    """
    order: Order = None
    asking = contradiction = None
    for row, text in enumerate(texts):
        match = _NUMERIC.fullmatch(text)
        if match is None:
            continue
        asking = row if asking is None else asking
        a, b = int(match["a"]), int(match["b"])
        if max(a, b) > 31 or min(a, b) > 12 or max(a, b) <= 12:
            continue  # impossible either way, or possible both ways: no evidence
        found = "day" if a > 12 else "month"
        if order is None:
            order = found
        elif order != found and contradiction is None:
            contradiction = row
    return order, asking, contradiction


def read_time(text: str, order: Order) -> tuple[datetime, bool]:
    """Return the time, in UTC when a zone is given, and whether a clock was. Raises ValueError with the rule."""
    if _EPOCH.fullmatch(text):
        digits = text.split(".")[0]
        micros = int(digits) * 10 ** (16 - len(digits))
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros), True
    match = next((found for form in _FORMS if (found := form.fullmatch(text))), None)
    if match is None:
        raise ValueError("is no date that can be read")
    part = match.groupdict()
    year, month, day = _date(part, order)
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise ValueError(f"has a year outside {_FIRST_YEAR} to {_LAST_YEAR}")
    try:
        moment = datetime(year, month, day, *_clock(part))
        if part["offset"]:
            sign = -1 if part["offset"][0] == "-" else 1
            digits = part["offset"][1:].replace(":", "")
            zone = timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
            moment = moment.replace(tzinfo=zone).astimezone(UTC)
        elif part["zone"]:
            moment = moment.replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"is no real date or time ({error})") from error
    return moment, part["hour"] is not None or part["compact"] is not None


def _date(part: dict[str, str | None], order: Order) -> tuple[int, int, int]:
    """Return year, month, day of a matched form."""
    year = int(part["year"] or 0)
    if part.get("a") and part.get("b"):
        a, b = int(part["a"] or 0), int(part["b"] or 0)
        return (year, b, a) if order == "day" else (year, a, b)
    if part.get("name"):
        name = str(part["name"]).lower()
        if name[:3] not in _MONTHS:
            raise ValueError("names no English month")
        return year, _MONTHS.index(name[:3]) + 1, int(part["day"] or 0)
    return year, int(part["month"] or 0), int(part["day"] or 0)


def _clock(part: dict[str, str | None]) -> tuple[int, int, int, int]:
    """Return hour, minute, second, microsecond; midnight without a clock."""
    if part["compact"]:
        digits = part["compact"].ljust(6, "0")
        return int(digits[:2]), int(digits[2:4]), int(digits[4:]), 0
    hour = int(part["hour"] or 0)
    if part["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("hour must be in 1..12 with AM or PM")
        hour = hour % 12 + (12 if part["half"] in "pP" else 0)
    elif part["hour"] and not part["minute"]:
        raise ValueError("minutes are missing")
    fraction = int((part["fraction"] or "0").ljust(6, "0")[:6])
    return hour, int(part["minute"] or 0), int(part["second"] or 0), fraction
