"""What the integration tests share: running bridges, fake servers, events, and looking at processes."""
