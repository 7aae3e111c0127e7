"""Rouse behind real web servers: what starts them, what speaks to them, what looks inside."""
