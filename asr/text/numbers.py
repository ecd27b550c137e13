"""Numbers as an English reader says them: one reading of several, for texts that are compared and not trained on."""

import re
from collections.abc import Callable
from decimal import Decimal

CURRENCIES = {"$": ("dollar", "dollars"), "£": ("pound", "pounds"), "€": ("euro", "euros")}
CENTS = {"$": ("cent", "cents"), "£": ("penny", "pence"), "€": ("cent", "cents")}
YEARS = range(1010, 2100)  # four digits without a comma are one of these

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
START, END = r"(?<![\w.,])", r"(?!\w|[.,]\d)"
MONEY = re.compile(rf"{START}([$£€]) ?({NUMBER})(?: (hundred|thousand|million|billion|trillion))?{END}", re.IGNORECASE)
TIME = re.compile(rf"{START}(\d\d?):([0-5]\d){END}")
ORDINAL = re.compile(rf"{START}(\d{{1,3}}(?:,\d{{3}})+|\d+)(?:st|nd|rd|th){END}", re.IGNORECASE)
DECADE = re.compile(rf"{START}'?(\d\d|\d\d\d0)'?s{END}", re.IGNORECASE)
PLAIN = re.compile(rf"{START}(-?)({NUMBER})( ?%)?{END}")


def spell_out(text: str) -> str:
    """The text with its numbers in words: 1990, 1,250, 2.5, 3rd, 1990s, $2.50, 50%, 10:30. Other signs stay."""
    if not re.search(r"\d", text):
        return text
    ways: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
        (MONEY, _money),
        (TIME, _time),
        (ORDINAL, lambda match: _say(match[1], "ordinal")),
        (DECADE, _decade),
        (PLAIN, _plain),
    )
    for pattern, say in ways:
        text = pattern.sub(say, text)
    return text


def _say(number: str, way: str = "cardinal") -> str:
    from num2words import num2words

    value = Decimal(number.replace(",", ""))
    words = num2words(int(value) if value == value.to_integral_value() else value, to=way)
    return str(words).replace(",", "").replace("-", " ")


def _money(match: re.Match[str]) -> str:
    sign, number, scale = match.groups()
    one, many = CURRENCIES[sign]
    if scale:  # $2.5 million
        return f"{_say(number)} {scale} {many}"
    whole, _, rest = number.partition(".")
    parts = [f"{_say(whole)} {one if whole == '1' else many}"] if whole != "0" or not rest else []
    if rest and len(rest) != 2:
        return f"{_say(number)} {many}"
    if rest and int(rest):
        parts.append(f"{_say(rest)} {CENTS[sign][rest != '01']}")
    return " and ".join(parts) or f"zero {many}"


def _time(match: re.Match[str]) -> str:
    hour, minute = match.groups()
    if minute == "00":
        return f"{_say(hour)} o'clock"
    return f"{_say(hour)} {'oh ' if minute[0] == '0' else ''}{_say(minute)}"


def _decade(match: re.Match[str]) -> str:
    words = _say(match[1], "year" if len(match[1]) == 4 else "cardinal")
    return words.removesuffix("y") + "ies" if words.endswith("y") else words + "s"


def _plain(match: re.Match[str]) -> str:
    minus, number, percent = match.groups()
    sign, unit = "minus " if minus else "", " percent" if percent else ""
    if len(number) > 1 and number[0] == "0" and "." not in number:  # a code or a telephone number
        return f"{sign}{' '.join(map(_say, number))}{unit}"
    year = len(number) == 4 and number.isdigit() and int(number) in YEARS and not (minus or percent)
    return f"{sign}{_say(number, 'year' if year else 'cardinal')}{unit}"
