"""Pickled weight files become .safetensors: their opcodes are read, not run; then a process that may do little loads them.

torch only in `child`, which is never imported, but started.
"""
