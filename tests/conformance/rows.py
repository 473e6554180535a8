"""The rows of the protocol requirements: which a test must name, and which wait for a profile that does not exist yet.

Copied from the requirements as data, so that a clone of this repository alone can tell whether all are tested.
"""

# Rows marked for FAPI 2.0 clients (f2) or for every client (all), by group.
TESTED = {
    "D": [*range(1, 16), 17, 18, 20, 21, 23, 24, 25],  # discovery
    "J": [1, 2, 3, 4, 5, 7],  # JWKS
    "A": [2, 3, 4, 5, 7, 8, 9, 10, 18, 19, 20, 21, 22, 23, 27, 28, 30],  # authorization endpoint
    "P": [*range(1, 20)],  # pushed authorization requests
    "T": [*range(1, 16), 17, 18, 19],  # token endpoint
    "C": [2, 3, 5, 6, 7, 8, 9, 10, 12, 13],  # client authentication
    "DP": [*range(1, 14)],  # DPoP
    "I": [1, 2, 3, 4, 5, 6, 9, 10],  # ID token
    "U": [1, 3, 7, 8, 9, 10, 11, 12, 13],  # UserInfo and resources
    "S": [1, 2, 3, 4, 5, 6],  # transport
    "X": [*range(1, 11)],  # this project's own
}
# Rows of these groups for the OpenID Connect profile (oidc) or for message signing (ms) only. Some are kept already and
# have a test all the same.
OTHER_PROFILES = {
    "D": [16, 19, 22],
    "J": [6],
    "A": [1, 6, 11, 12, 13, 14, 15, 16, 17, 24, 25, 26, 29],
    "T": [16],
    "C": [1, 4, 11],
    "I": [7, 8],
    "U": [2, 4, 5, 6],
}


def names(rows: dict[str, list[int]]) -> set[str]:
    """Row names such as `DP-04`."""
    return {f"{group}-{number:02}" for group, numbers in rows.items() for number in numbers}
