"""Text generation with several models behind one route, which share the requests by weight."""
