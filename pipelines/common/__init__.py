"""What several operations share: the subject, canvases, sizes, texture sources, moderation."""
