"""What may happen once happens once, whoever fights for it: threads in several processes, on both databases."""
