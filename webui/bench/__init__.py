"""Measures the program and the bare library in the same run. May import everything; nothing imports it."""
