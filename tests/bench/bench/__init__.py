"""How fast rouse is, beside the least that can be done: see README.md."""
