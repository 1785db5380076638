"""Finished pictures: files that say how they were made, and an index that can be rebuilt from them. Knows no engine, no page."""
