"""When and how often an account is fetched, and what becomes of what cannot be stored."""
