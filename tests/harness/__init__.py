"""What tests use to start parts of postroom, cut a line, kill a part, and count at the provider."""
