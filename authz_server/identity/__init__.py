"""Who the citizen is: accounts, sessions, identity levels and the methods of proving oneself."""
