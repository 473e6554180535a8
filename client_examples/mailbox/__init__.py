"""The mailbox and the telephone of all synthetic citizens: what the platform sends is shown here."""
