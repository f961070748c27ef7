"""The technician's side: a courier between terminal, host and release desk."""
