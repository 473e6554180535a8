"""What may go wrong inside, without any HTTP. Each edge has one table that maps these classes to its answers.

    Exception
     └── DomainError                 code, public text; `detail` for the log
          ├── BadToken               core.jose: malformed, wrongly signed or not for us: one answer
          │    └── KeyNotFound       core.jose: no key has the token's `kid`: the caller may refetch a key set, once
          ├── BadKey                 core.jose: a key or key set that we refuse to use
          ├── BadProof               core.dpop
          ├── FetchError             core.outbound_http
          │    ├── FetchRefused      we would not even connect (scheme, address)
          │    └── FetchFailed       we connected, and the answer is of no use
          ├── MailError              core.outbound_mail
          │    ├── MailRefused       the server will never take this letter
          │    └── MailPostponed     later, perhaps
          └── ...                    a domain's own, in that domain

Two vocabularies: `code` and `public` are constant per class and may be shown to anyone; `detail` is per occurrence,
explains to the operator, and leaves the log only to whoever asks about messages of their own making (oauth/linter.py,
clients/own_requests.py). Neither holds a secret or a person's data.
"""

import re
from typing import ClassVar

# RFC 6749 sections 4.1.2.1 and 5.2: error and error_description.
_PUBLIC_TEXT = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


class DomainError(Exception):
    """Base of all domain errors.

    Args: detail: one sentence for the log; which check failed, without the value that failed it.
    """

    code: ClassVar[str] = "server_error"
    public: ClassVar[str] = "The request could not be completed."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __init_subclass__(cls) -> None:
        # At import, so that no error text outside the permitted characters can ever reach a peer.
        for name in ("code", "public"):
            if not _PUBLIC_TEXT.fullmatch(getattr(cls, name)):
                raise TypeError(f"{cls.__name__}.{name} has characters that RFC 6749 does not allow")
