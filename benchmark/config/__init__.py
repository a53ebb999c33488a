"""What `params.yaml` may hold: its types, how it is read, and presets that change it. Knows no other room."""
