"""Agents whose weights are on somebody else's machines: what is known of them here, what they cost, what was paid."""
