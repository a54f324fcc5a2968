"""Generated stories whose entropy is known, and questions about them."""
