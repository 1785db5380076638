"""The only place for torch, diffusers and transformers; knows the library and core, nothing of jobs, gallery or page."""
