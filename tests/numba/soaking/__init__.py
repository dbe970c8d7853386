"""The soak test of the Numba adapter: random projects, random edits, and a model that knows what each edit affects."""
