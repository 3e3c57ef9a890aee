"""What the launcher's pages show, made from results and records; no HTTP but for addresses."""
