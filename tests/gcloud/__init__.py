"""The cloud how-tos, followed with gcloud against stand-ins of Google's APIs."""
