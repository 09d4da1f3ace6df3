"""Features of pictures and texts, and the procedure that every number carries: what distances and scores are measured on."""
