"""Checkpoint files outside a store: safetensors, sharded folders, files beside them."""
