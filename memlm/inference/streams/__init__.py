"""Read a text token by token: a model, cache, dynamic evaluation, mixture."""
