"""What people said: the store of projects, items, assignments and answers, and everything that reads or writes it."""
