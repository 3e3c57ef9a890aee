# What every part needs: APIs, the database, the bucket and the images' repository.

locals {
  apis = [
    "artifactregistry", "bigquery", "billingbudgets", "cloudresourcemanager", "cloudscheduler",
    "compute", "dataflow", "datastore", "eventarc", "eventarcpublishing", "firestore", "iam",
    "iap", "logging", "monitoring", "pubsub", "run", "secretmanager",
  ]
}

resource "google_project_service" "api" {
  for_each           = toset(local.apis)
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_firestore_database" "posts" {
  name        = "(default)"
  location_id = var.region
  type        = "DATASTORE_MODE"
  depends_on  = [google_project_service.api]
}

# The index of index.yaml.
resource "google_firestore_index" "posts" {
  database    = google_firestore_database.posts.name
  collection  = "Tweet"
  api_scope   = "DATASTORE_MODE_API"
  query_scope = "COLLECTION_RECURSIVE"

  dynamic "fields" {
    for_each = ["created_at", "stored_at", "checksum"]
    content {
      field_path = fields.value
      order      = "ASCENDING"
    }
  }
}

resource "google_storage_bucket" "dfpipe" {
  name                        = "${var.project}-dfpipe"
  location                    = var.region
  uniform_bucket_level_access = true
  force_destroy               = true

  # What jobs stage is needed while they run.
  lifecycle_rule {
    condition {
      age            = 30
      matches_prefix = ["temp/", "staging/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_artifact_registry_repository" "dfpipe" {
  repository_id = "dfpipe"
  format        = "DOCKER"
  location      = var.region
  depends_on    = [google_project_service.api]
}

# The Flex Template: what `gcloud dataflow flex-template build` writes.
resource "google_storage_bucket_object" "template" {
  name         = "template.json"
  bucket       = google_storage_bucket.dfpipe.name
  content_type = "application/json"
  content = jsonencode({
    image    = "${local.repository}/worker"
    sdkInfo  = { language = "PYTHON" }
    metadata = jsondecode(file("${path.module}/../metadata.json"))
  })
}
