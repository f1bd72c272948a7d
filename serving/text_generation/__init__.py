"""Text generation behind Ray Serve: OpenAI's endpoints, and those of the systems that it replaces."""
