"""Cases in which Saggar is not right yet, and why. The tests are strict: who mends one takes it out here."""
KNOWN: dict[str, str] = {}
