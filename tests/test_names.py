"""Clan names: speakable, deterministic, varied."""

import hashlib
import re

from lineage.names import COMBINATIONS, clan_name
from lineage.record.family import ClanNames


def test_a_name_is_two_short_words_without_markup() -> None:
    """Lower-case ASCII letters and one hyphen, at most 24 characters, always the same."""
    for number in range(500):
        identity = hashlib.sha256(str(number).encode()).hexdigest()
        assert re.fullmatch(r"[a-z]{3,12}-[a-z]{3,12}", clan_name(identity)), clan_name(identity)
        assert clan_name(identity) == clan_name(identity)


def test_there_are_enough_names() -> None:
    """More than 10,000, and a thousand identities rarely collide."""
    names = {clan_name(hashlib.sha256(str(number).encode()).hexdigest()) for number in range(1000)}
    assert COMBINATIONS > 10_000
    assert len(names) > 970


def test_a_second_clan_of_the_same_name_is_numbered() -> None:
    """Within one run no two clans share a name."""
    names, identity = ClanNames(), "00" * 32
    first = names.name(identity)
    assert [names.name(identity), names.name(identity)] == [f"{first}-2", f"{first}-3"]
