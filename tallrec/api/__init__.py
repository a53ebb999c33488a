"""A model behind an address that speaks the protocol of OpenAI."""
