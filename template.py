"""What Dataflow's Flex Template launcher runs in the worker's image: see Dockerfile."""

from launcher.jobs.submit import main

if __name__ == "__main__":
    main()
