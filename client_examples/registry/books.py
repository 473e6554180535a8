"""What the registry knows: cards and documents of people, none of whom exists. All follows from a national id."""

from dataclasses import dataclass, field
from datetime import date, timedelta

from client_examples.demo_agency.people import COUNTIES, find_person, seeded

KINDS = ("initial", "replacement", "renewal")
WORDS = ("paper", "bamboo", "island", "harbour", "orchid", "kettle", "temple", "bicycle")
# The national ID card of today has been given out since this day; nobody's is older.
FIRST_ISSUE = date(2005, 12, 21)


@dataclass(frozen=True)
class Documents:
    """What a person could read off their cards, and the password that they registered for one of them."""

    national_id: str = field(repr=False)
    birthdate: str = field(repr=False)
    card_number: str = field(repr=False)  # health-insurance card: 12 digits
    card_password: str = field(repr=False)  # a real registry keeps an argon2id hash
    issued_on: str = field(repr=False)  # national ID card
    issued_at: str = field(repr=False)
    issue_kind: str = field(repr=False)

    def evidence(self, check: str) -> dict[str, str]:
        """What has to be typed to pass a check."""
        if check == "health_card":
            return {
                "national_id": self.national_id,
                "card_number": self.card_number,
                "password": self.card_password,
            }
        return {
            "national_id": self.national_id,
            "birthdate": self.birthdate,
            "id_card_issued_on": self.issued_on,
            "id_card_issued_at": self.issued_at,
            "id_card_issue_kind": self.issue_kind,
            "card_number": self.card_number,
        }


def documents_of(national_id: str) -> Documents:
    """The documents of a person, always the same ones; also of people that there can't be, for equal work."""
    person, rng = find_person(national_id), seeded("documents", national_id)
    issued_on = FIRST_ISSUE + timedelta(rng.randrange(6500))
    return Documents(
        national_id=national_id,
        birthdate=person.birth_date.isoformat(),
        card_number=f"0000{rng.randrange(10**8):08}",
        card_password=f"{rng.choice(WORDS)}-{rng.choice(WORDS)}-{rng.randrange(1000):03}",
        issued_on=issued_on.isoformat(),
        issued_at=rng.choice(COUNTIES),
        issue_kind=rng.choice(KINDS),
    )
