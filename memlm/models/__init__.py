"""Language models and answerers."""
