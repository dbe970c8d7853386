"""Cases in which Saggar is not right yet, and why. The tests are strict: who mends one takes it out here."""
KNOWN = {
    "optimized_python": "without docstrings the constants have other numbers",
    "generated_unimportable": "an entry of a module that cannot be imported is refused at first (load-failed)",
    "named_tuples": "a class of named tuples made in a function cannot be pickled",
}
