"""The one place where a key becomes text for people, through gettext: the English is the message id. What is
said when is decided elsewhere."""

import datetime as dt
import gettext
import re
from collections.abc import Iterator

from carnet.words.facts import FACTS, PARTIES
from carnet.words.messages import MESSAGES

_ROLE = re.compile(r"parties\.(\w+)(?:\[(\d+)\])?")


class Catalogue:
    """Text in one language. Without translations, the English that stands in the catalogue."""

    def __init__(self, translations: gettext.NullTranslations | None = None) -> None:
        self.translate = (translations or gettext.NullTranslations()).gettext

    def say(self, key: str, /, **values: object) -> str:
        """The text of a key, filled in. Raises KeyError for a key that is not there: a defect."""
        return self.translate(MESSAGES[key]).format(**values)

    def has(self, key: str) -> bool:
        """Whether the catalogue has the key."""
        return key in MESSAGES

    def fact(self, path: str) -> str:
        """What a fact is called: `the US status of the recipient (`recipient.us_status`)`."""
        entity, _, name = path.rpartition(".")
        if path.startswith("parties.") and "[" not in path:
            role = path.partition(".")[2]
            return f"{self.translate(PARTIES.get(role, role))} (`{path}`)"
        text = FACTS.get(path) or FACTS.get(f"party.{name}")
        if text is None or (FACTS.get(path) is None and not self.is_party(entity)):
            return f"`{path}`"
        return f"{self.translate(text).format(party=self.party(entity))} (`{path}`)"

    def is_party(self, entity: str) -> bool:
        """Whether it is the recipient, the exporter or a party in a role."""
        return entity in PARTIES or _ROLE.fullmatch(entity) is not None

    def party(self, entity: str) -> str:
        """What a party is called: `the end user`, or with its number from the second on."""
        found = _ROLE.fullmatch(entity)
        if found is None:
            return self.translate(PARTIES.get(entity, entity))
        name = self.translate(PARTIES.get(found[1], found[1]))
        return f"{name} {int(found[2]) + 1}" if found[2] not in (None, "0") else name

    def task(self, key: str) -> str:
        """What is to be done, by the key of a task; an operator's own key as it is."""
        return self.say(f"task.{key}") if self.has(f"task.{key}") else key


ENGLISH = Catalogue()


def stamp(instant: dt.datetime) -> str:
    """An instant in UTC as people write it: `2026-06-12T21:21:00Z`."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def message_ids() -> Iterator[str]:
    """Every text that a translation has to give, for the making of a `.pot`."""
    yield from sorted({*MESSAGES.values(), *FACTS.values(), *PARTIES.values()})
