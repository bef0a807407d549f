"""Applications that forward no trace context, in many shapes, and who caused which of their calls."""
