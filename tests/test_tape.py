"""The strict reader of price files: what it takes as it comes, and what it refuses with which words."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import DataError
from arena.market.tape import Tape, read_tape

_HEADER = "Date,Open,High,Low,Close,Volume"
_ROWS = ("2020-01-02,10,12,9,11,100", "2020-01-03,11,13,10,12,200", "2020-01-06,12,14,11,13,300")
_DATES = ["2020-01-02", "2020-01-03", "2020-01-06"]


def _read(folder: Path, content: str | bytes, skip_bad: bool = False) -> Tape:
    path = folder / "bars.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_tape(path, skip_bad)


def _file(rows: str = "", header: str = _HEADER) -> str:
    """Return a file of three good rows in the middle of which `rows` are put."""
    return "\n".join([header, *_ROWS[:2], *([rows] if rows else []), _ROWS[2]]) + "\n"


def _table(header: str, *dates: str) -> str:
    """Return a file with the given header and dates, and the numbers of the three good rows."""
    numbers = [row.split(",", 1)[1] for row in _ROWS]
    return "\n".join([header, *(f"{date},{number}" for date, number in zip(dates, numbers, strict=False))])


ACCEPTED = {
    "plain": _file(),
    "byte-order mark": "\ufeff" + _file(),
    "windows line ends": _file().replace("\n", "\r\n"),
    "old mac line ends": _file().replace("\n", "\r"),
    "no final line end": _file().rstrip(),
    "blank lines": _file("\n\n"),
    "newest first": "\n".join([_HEADER, *reversed(_ROWS)]),
    "any order": "\n".join([_HEADER, _ROWS[1], _ROWS[2], _ROWS[0]]),
    "banner line": "https://www.example.com, all rights reserved\n" + _file(),
    "two banner lines and a blank": '# prices of X\n"delayed, not advice"\n\n' + _file(),
    "semicolons": _file().replace(",", ";"),
    "tabs": _file().replace(",", "\t"),
    "quoted": "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in _file().splitlines()),
    "spaces around": _file().replace(",", " , "),
    "upper case": _file(header=_HEADER.upper()),
    "lower case": _file(header=_HEADER.lower()),
    "metatrader": _file(header="<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"),
    "ticker prefix": _file(header="Date,BTC-USD_Open,BTC-USD_High,BTC-USD_Low,BTC-USD_Close,BTC-USD_Volume"),
    "dotted prefix": _file(header="SPY.Date,SPY.Open,SPY.High,SPY.Low,SPY.Close,SPY.Volume"),
    "numbered": _file(header="timestamp,1. open,2. high,3. low,4. close,5. volume"),
    "suffix": _file(header="Date,Open Price,High Price,Low Price,Close Price,Volume (shares)"),
    "close/last": _file(header="Date,Open,High,Low,Close/Last,Volume"),
    "one letter": _file(header="t,o,h,l,c,v"),
    "nameless index": _file(header=",open,high,low,close,volume"),
    "adjusted close is not the close": "\n".join(
        ["Date,Adj Close,Open,High,Low,Close,Volume"]
        + [row.replace(",", ",5,", 1) for row in _ROWS]
    ),
    "open time and close time": "\n".join(
        ["Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume"]
        + [f"{row},{row.split(',')[0]} 23:59:59,7" for row in _ROWS]
    ),
    "two volumes": "\n".join(
        ["https://www.example.com", "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT"]
        + [f"1577923200000,{row.replace(',', ',BTC/USDT,', 1)},99" for row in reversed(_ROWS)]
    ),
    "trailing commas": "\n".join([_HEADER, *(row + ",," for row in _ROWS)]),
    "slashed ISO": _table(_HEADER, "2020/01/02", "2020/01/03", "2020/01/06"),
    "dotted ISO": _table(_HEADER, "2020.01.02", "2020.01.03", "2020.01.06"),
    "compact ISO": _table(_HEADER, "20200102", "20200103", "20200106"),
    "month names": _table(_HEADER, "02-Jan-2020", "3 January 2020", "06-JAN-2020"),
    "quoted month names": _table(_HEADER, '"Jan 02, 2020"', '"Jan 03, 2020"', '"Jan 06, 2020"'),
    "day-first by name": _table(_HEADER.replace("Date", "Date (DD/MM/YYYY)"), "02/01/2020", "03/01/2020", "06/01/2020"),
    "month-first by name": _table(
        _HEADER.replace("Date", "Date [mm.dd.yyyy]"), "01.02.2020", "01.03.2020", "01.06.2020"
    ),
    "exponents and points": _file().replace(",10,", ",1.e1,").replace(",300", ",.3E+3"),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_files_of_other_vendors_read_alike(tmp_path: Path, content: str) -> None:
    """Every dialect of the same three bars gives the same tape, oldest first."""
    tape = _read(tmp_path, content)
    assert tape.times == _DATES
    assert tape.open.tolist() == [10.0, 11.0, 12.0]
    assert tape.high.tolist() == [12.0, 13.0, 14.0]
    assert tape.low.tolist() == [9.0, 10.0, 11.0]
    assert tape.close.tolist() == [11.0, 12.0, 13.0]
    assert tape.volume.tolist() == [100.0, 200.0, 300.0]
    assert tape.skipped == 0
    assert tape.name == "bars.csv"
    assert tape.sha256 == hashlib.sha256((tmp_path / "bars.csv").read_bytes()).hexdigest()


TIMES = {
    "minute bars": (("2020-01-02 09:30", "2020-01-02 09:31"), ["2020-01-02T09:30:00", "2020-01-02T09:31:00"]),
    "T and Z": (("2020-01-02T09:30:00Z", "2020-01-02T09:31:00Z"), ["2020-01-02T09:30:00Z", "2020-01-02T09:31:00Z"]),
    "offset": (
        ("2020-01-02 09:30:00-05:00", "2020-01-02 09:31:00-0500"),
        ["2020-01-02T14:30:00Z", "2020-01-02T14:31:00Z"],
    ),
    "GMT offset": (
        ("31.01.2020 00:00:00.000 GMT+0100", "01.02.2020 00:00:00.000 GMT+0100"),
        ["2020-01-30T23:00:00Z", "2020-01-31T23:00:00Z"],
    ),
    "month-first with PM": (
        ("1/13/2020 12:30 PM", "1/13/2020 1:00 pm"),
        ["2020-01-13T12:30:00", "2020-01-13T13:00:00"],
    ),
    "hour and AM": (("2020-01-02 12-AM", "2020-01-02 05-PM"), ["2020-01-02T00:00:00", "2020-01-02T17:00:00"]),
    "Unix seconds": (("1577923200", "1577923260"), ["2020-01-02T00:00:00Z", "2020-01-02T00:01:00Z"]),
    "Unix milliseconds": (("1577923200000", "1577923260000"), ["2020-01-02T00:00:00Z", "2020-01-02T00:01:00Z"]),
    "Unix microseconds": (("1577923200000000", "1577923260000000"), ["2020-01-02T00:00:00Z", "2020-01-02T00:01:00Z"]),
    "day-first inferred": (("01.02.2017 22:00", "13.02.2017 22:00"), ["2017-02-01T22:00:00", "2017-02-13T22:00:00"]),
    "month-first inferred": (("02/01/2017", "02/13/2017"), ["2017-02-01", "2017-02-13"]),
    "clock on some rows": (("2020-01-02", "2020-01-02 12:00"), ["2020-01-02T00:00:00", "2020-01-02T12:00:00"]),
}


@pytest.mark.parametrize(("dates", "expected"), TIMES.values(), ids=TIMES.keys())
def test_times_are_read_by_form(tmp_path: Path, dates: tuple[str, str], expected: list[str]) -> None:
    """Clocks, zones, Unix times and both day orders end as ISO 8601, in UTC where a zone is given."""
    assert _read(tmp_path, _table(_HEADER, *dates)).times == expected


def test_date_and_time_columns_are_joined(tmp_path: Path) -> None:
    """Two columns, with or without colons in the clock."""
    head = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"
    rows = ["EURUSD,1,20200102,093000,10,12,9,11,0", "EURUSD,1,20200102,093100,11,13,10,12,0"]
    assert _read(tmp_path, "\n".join([head, *rows])).times == ["2020-01-02T09:30:00", "2020-01-02T09:31:00"]
    colons = [row.replace("0930", "09:30:").replace("0931", "09:31:") for row in rows]
    assert _read(tmp_path, "\n".join([head, *colons])).times == ["2020-01-02T09:30:00", "2020-01-02T09:31:00"]


def test_volume_may_be_missing_or_zero(tmp_path: Path) -> None:
    """Currency tapes have no volume; quiet minutes trade nothing."""
    without = "Date,Open,High,Low,Close\n2020-01-02,10,12,9,11\n2020-01-03,11,13,10,12"
    assert _read(tmp_path, without).volume.tolist() == [0.0, 0.0]
    assert _read(tmp_path, _file("2020-01-04,11,11,11,11,0")).volume.tolist() == [100.0, 200.0, 0.0, 300.0]


BAD_ROWS = {
    # row: (column, value, rule)
    "2020-01-04,nan,12,9,11,1": ("Open", "nan", "is no plain finite decimal"),
    "2020-01-04,10,inf,9,11,1": ("High", "inf", "is no plain finite decimal"),
    "2020-01-04,10,-Infinity,9,11,1": ("High", "-Infinity", "is no plain finite decimal"),
    "2020-01-04,1_000,1200,9,11,1": ("Open", "1_000", "is no plain finite decimal"),
    "2020-01-04,\u0661\u0660,12,9,11,1": ("Open", "\\u0661\\u0660", "is no plain finite decimal"),
    "2020-01-04,\uff11\uff10,12,9,11,1": ("Open", "\\uff11\\uff10", "is no plain finite decimal"),
    "2020-01-04,0x10,12,9,11,1": ("Open", "0x10", "is no plain finite decimal"),
    "2020-01-04,$10,12,9,11,1": ("Open", "$10", "is no plain finite decimal"),
    '2020-01-04,"1,000.5",1200,9,11,1': ("Open", "1,000.5", "is no plain finite decimal"),
    "2020-01-04,10,12,9,11,1.5M": ("Volume", "1.5M", "is no plain finite decimal"),
    "2020-01-04,10,12,9,\x1b[31m11,1": ("Close", "\\x1b[31m11", "is no plain finite decimal"),
    "2020-01-04,1e999,1e999,9,11,1": ("Open", "1e999", "lies outside 1e-12 to 1e\\+15"),
    "2020-01-04,10,12,1e-300,11,1": ("Low", "1e-300", "lies outside"),
    "2020-01-04,10,12,9,,1": ("Close", "", "is missing"),
    "2020-01-04,null,null,null,null,null": ("Open", "null", "is missing"),
    "2020-01-04,0,12,0,11,1": ("Open", "0", "is not above 0"),
    "2020-01-04,10,12,-9,11,1": ("Low", "-9", "is not above 0"),
    "2020-01-04,10,12,9,11,-1": ("Volume", "-1", "is below 0"),
    "2020-01-04,10,9.5,9,9,1": ("High", "9.5", r"is below max\(open, close\) = 10"),
    "2020-01-04,10,12,10.5,11,1": ("Low", "10.5", r"is above min\(open, close\) = 10"),
    "2020-01-03,10,12,9,11,1": ("Date", "2020-01-03", "repeats the time of line 3"),
    "2020-02-30,10,12,9,11,1": ("Date", "2020-02-30", "is no real date or time"),
    "2020-01-04 25:00,10,12,9,11,1": ("Date", "2020-01-04 25:00", "is no real date or time"),
    "2020-01-04 13:00 PM,10,12,9,11,1": ("Date", "2020-01-04 13:00 PM", "is no real date or time"),
    "2020-01-04T10:00Z,10,12,9,11,1": ("Date", "2020-01-04T10:00Z", "has a time zone, unlike the rows above"),
    "1577923200,10,12,9,11,1": ("Date", "1577923200", "has a time zone, unlike the rows above"),
    "2020013100,10,12,9,11,1": ("Date", "2020013100", "is no date that can be read"),
    "01/02/20,10,12,9,11,1": ("Date", "01/02/20", "is no date that can be read"),
    "\u0662\u0660\u0662\u0660-01-04,10,12,9,11,1": ("Date", r"\\u0662", "is no date that can be read"),
    "4 Foo 2020,10,12,9,11,1": ("Date", "4 Foo 2020", "names no English month"),
    "9020-01-04,10,12,9,11,1": ("Date", "9020-01-04", "has a year outside 1800 to 2200"),
    ",10,12,9,11,1": ("Date", "", "is no date that can be read"),
    "2020-01-04,10,12,9": ("row", "2020-01-04,10,12,9", "has 4 fields, the header 6"),
    "2020-01-04,10,12,9,11,1,8": ("row", "2020-01-04,10,12,9,11,1,8", "has 7 fields, the header 6"),
    '2020-01-04,"10,12,9,11,1': ("row", '2020-01-04,"10', "has a quote that does not close"),
    _HEADER: ("Date", "Date", "is no date that can be read"),
    "Source: example.com": ("row", "Source: example.com", "has 1 fields"),
}


@pytest.mark.parametrize(("row", "words"), BAD_ROWS.items(), ids=[ascii(row) for row in BAD_ROWS])
def test_bad_row_stops_with_place_value_rule_and_cure(tmp_path: Path, row: str, words: tuple[str, str, str]) -> None:
    """One line: FILE:LINE: column: value rule; cure. With skip_bad the row is dropped and counted."""
    column, value, rule = words
    with pytest.raises(DataError, match=rule) as caught:
        _read(tmp_path, _file(row))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'bars.csv'}:4: {column}: value '")
    assert value.replace("\\\\", "\\") in message
    assert "--skip-bad" in message
    assert "\n" not in message
    assert message.isascii()
    assert "\x1b" not in message
    tape = _read(tmp_path, _file(row), skip_bad=True)
    assert (tape.times, tape.skipped) == (_DATES, 1)


def test_skip_bad_counts_every_dropped_row(tmp_path: Path) -> None:
    """Several kinds at once; a good file counts none."""
    bad = "\n".join(row for row in BAD_ROWS if row.startswith("2020-01-04,"))
    tape = _read(tmp_path, _file(bad), skip_bad=True)
    assert (tape.times, tape.skipped) == (_DATES, len(bad.splitlines()))
    assert _read(tmp_path, _file(), skip_bad=True).skipped == 0


BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "blank": (" \n\n", "is empty"),
    "NUL": (_file().replace("11", "1\x001", 1), r"bars\.csv:2: holds a NUL byte"),
    "binary": (b"\x89PNG\r\n\x1a\n\x01\x02\xff\xfe", r"bars\.csv:1: byte 0x89 is not UTF-8"),
    "zip": (b"PK\x03\x04\x14\x00\x00", "holds a NUL byte"),
    "UTF-16": (_file().encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    "latin-1 banner": ("# 5 \u00a3\n".encode("latin-1") + _file().encode(), r"bars\.csv:1: byte 0xa3 is not UTF-8"),
    "no header": ("\n".join(_ROWS), "no line among the first 30 is a header.*name the columns"),
    "prose": ("hello\nworld", "no line among the first 30 is a header"),
    "close missing": (_file(header="Date,Open,High,Low,Adj Close,Volume"), r":1: header: no column for close"),
    "time missing": (_file(header="Day,Open,High,Low,Close,Volume"), r":1: header: no column for time"),
    "two closes": (_file(header="Date,Open,High,Low,Close,Close"), r":1: columns 'Close' and 'Close' could both be"),
    "two instruments": (
        "Date,A_Open,A_High,A_Low,A_Close,B_Open,B_High,B_Low,B_Close\n",
        "columns 'A_Open' and 'B_Open' could both be the open",
    ),
    "mixed instruments": (_file(header="Date,A_Open,A_High,A_Low,B_Close,Volume"), "carry different prefixes"),
    "two dates": ("Date,Date,Open,High,Low,Close\n", "could both be the time"),
    "header only": (_HEADER + "\n", "0 usable bars, a tape needs at least 2"),
    "one bar": ("\n".join([_HEADER, _ROWS[0]]), "1 usable bars, a tape needs at least 2"),
    "ambiguous dates": (
        _table(_HEADER, "01/02/2020", "02/02/2020", "03/02/2020"),
        r":2: Date: value '01/02/2020' may be day-first or month-first.*write ISO dates.*Date \(DD/MM/YYYY\)",
    ),
    "contradicting dates": (
        _table(_HEADER, "13/01/2020", "02/02/2020", "02/14/2020"),
        r":4: Date: value '02/14/2020' is month-first, but the dates above it are day-first",
    ),
    "decimal commas": (
        "Date;Open;High;Low;Close\n2020-01-02;1,0;1,2;0,9;1,1\n2020-01-03;1,0;1,2;0,9;1,1",
        r":2: Open: value '1,0' is no plain finite decimal.*write it like 1234\.56",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_file_that_cannot_be_understood_stops(tmp_path: Path, content: str | bytes, message: str) -> None:
    """Each names the file and the cure, and skipping rows does not talk it round."""
    for skip_bad in (False, True):
        with pytest.raises(DataError) as caught:
            _read(tmp_path, content, skip_bad)
        assert str(tmp_path / "bars.csv") in str(caught.value)
        assert "\n" not in str(caught.value)
        if not skip_bad:
            assert caught.match(message)


def test_path_that_is_no_file_stops(tmp_path: Path) -> None:
    """Missing, a directory, not readable."""
    with pytest.raises(DataError, match=r"none\.csv: there is no such file"):
        read_tape(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a directory or a device"):
        read_tape(tmp_path)
    locked = tmp_path / "locked.csv"
    locked.write_text(_file())
    locked.chmod(0)
    if not os.access(locked, os.R_OK):  # an administrator reads everything
        with pytest.raises(DataError, match="cannot be read"):
            read_tape(locked)


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_junk_never_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    """Whatever bytes follow the header: a tape or a DataError, nothing else."""
    path = tmp_path_factory.getbasetemp() / "junk.csv"
    for content in (junk, _file().encode() + junk):
        path.write_bytes(content)
        try:
            tape = read_tape(path, skip_bad=True)
        except DataError:
            continue
        assert np.all(np.isfinite([tape.open, tape.high, tape.low, tape.close, tape.volume]))
        assert np.all(tape.high >= np.maximum(tape.open, tape.close))
        assert tape.times == sorted(tape.times)
