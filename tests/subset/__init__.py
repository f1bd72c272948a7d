"""Our schemas of third-party kinds accept nothing that the real ones refuse."""
