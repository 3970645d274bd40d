"""The same facts as standards ask for them: a Croissant description, a card for a hub, and sheets for regulators."""
