"""The embedded starter checkpoint: scenes, training, evaluation. Uses torch, diffusers, transformers; nothing above it in the program."""
