"""Text generation behind a prompt of the platform: one deployment writes the prompt, another answers."""
