terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.41, < 8"
    }
    # It has the proxy of Cloud Run's services.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 6.41, < 8"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
  # Budgets are charged to a project's quota.
  billing_project       = var.project
  user_project_override = true
}

provider "google-beta" {
  project = var.project
  region  = var.region
}

data "google_project" "here" {
  project_id = var.project
}
