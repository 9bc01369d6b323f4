"""The actions that change a person, and how likely each is to work on a face."""
