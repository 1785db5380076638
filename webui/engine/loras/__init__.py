"""LoRAs of every layout, merged into a pipeline's weights and taken out again to the bit. Touches weights only, never forwards."""
