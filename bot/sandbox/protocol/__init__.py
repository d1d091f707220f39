"""What Discord's API accepts and answers: bodies, forms, permissions, errors."""
