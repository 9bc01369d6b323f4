"""Steps that several operations share: subject, model input, sizes, texture sources, moderation."""
