"""OpenAI's Images and Moderations routes, translated to the service and back."""
