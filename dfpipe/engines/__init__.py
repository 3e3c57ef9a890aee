"""What a runner needs besides Beam: Prism, Flink, staging, templates, reading ahead."""
