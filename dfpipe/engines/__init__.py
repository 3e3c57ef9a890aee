"""What a runner needs beside Beam: Prism, Flink, staging, templates, reading ahead."""
