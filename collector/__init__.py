"""The collector: a service that fetches timelines into the store, one task per account."""
