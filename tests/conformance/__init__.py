"""Every row of the protocol requirements that applies to the FAPI 2.0 profile, tested from outside by its name."""
