"""The p-value below which words, pairs and stories rise; rising_stories.sql has it too."""

LEVEL = 0.01
