"""Makes `.venv` and fills it, before the first start. Stdlib only, and it imports nothing else of `webui`: nothing is installed yet."""
