"""The project's documents, held to the code by `tests/test_docs.py`. No code."""
