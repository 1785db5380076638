"""Jobs: the durable queue, the bus that tells of it, the dispatcher that works it off. Holds engines by protocol; no torch, no page."""
