"""What is known of people in a picture, and the changes that can be asked for."""
