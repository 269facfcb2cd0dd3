"""Loop-nest assignment: arrays, buffers and templates for the layers of networks."""
