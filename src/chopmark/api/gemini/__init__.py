"""Gemini's ``generateContent``, translated to the service and back."""
