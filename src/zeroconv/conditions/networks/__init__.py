"""Networks that read a condition off a picture."""
