"""What a citizen wants corrected: opened, decided, and the outcome told to the platform.

The platform pushes a JWT inside a JWE, exactly as a ticket is made, of another type and without an end.
"""

from dataclasses import dataclass

from .mail import Mail

TYPE = "mydata-correction+jwt"
OUTCOME_TYPE = "mydata-correction-outcome+jwt"
IN_PERSON = {"name", "national_id", "birth_date"}  # of these an office has to see papers


@dataclass(frozen=True)
class Corrections:
    """One agency's desk for them."""

    mail: Mail

    def take(self, pushed: str, *, now: int) -> str:
        """Decide and tell the platform; the outcome. The same request may come twice, and is answered the same.

        Raises: PushRefused, PlatformUnavailable.
        """
        _, claims = self.mail.open(pushed, {TYPE})
        outcome = "in_person" if claims["field"] in IN_PERSON else "corrected"
        answer = {"correction": claims["jti"], "outcome": outcome}
        self.mail.tell(f"corrections/{claims['jti']}", answer, typ=OUTCOME_TYPE, now=now)
        return outcome
