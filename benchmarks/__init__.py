"""How fast and how good: every number in the documentation is printed from here."""
