"""The measures of scripts/quality: what a person would see in the results, in figures."""
