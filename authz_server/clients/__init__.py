"""Who may ask: registered clients with their purposes, keys and policy; registered agencies with theirs."""
