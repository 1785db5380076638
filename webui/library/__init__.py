"""Weight files on disk: which there are and what they are. Reads headers, never weights; no torch, no network."""
