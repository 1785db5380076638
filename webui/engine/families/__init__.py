"""One file for each architecture: INFO (data, importable without torch) and `load(record, device)`. Families know no other family."""
