"""People: whose voice is whose, one track each, their names."""
