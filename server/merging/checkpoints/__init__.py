"""Whole models merged, streamed tensor by tensor from file to file. No torch in here."""
