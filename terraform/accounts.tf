# Who acts: the services, Dataflow's workers, and callers that have no other rights.

locals {
  roles = {
    service = ["bigquery.dataEditor", "bigquery.jobUser", "dataflow.developer", "datastore.user"]
    worker = [
      "artifactregistry.reader", "bigquery.dataEditor", "bigquery.jobUser", "dataflow.worker",
      "datastore.viewer",
    ]
    caller = ["eventarc.eventReceiver"]
  }
  grants = merge([
    for name, roles in local.roles : { for role in roles : "${name} ${role}" => [name, role] }
  ]...)
}

resource "google_service_account" "dfpipe" {
  for_each   = local.roles
  account_id = "dfpipe-${each.key}"
  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "dfpipe" {
  for_each = local.grants
  project  = var.project
  role     = "roles/${each.value[1]}"
  member   = google_service_account.dfpipe[each.value[0]].member
}

resource "google_storage_bucket_iam_member" "dfpipe" {
  for_each = toset(["service", "worker"])
  bucket   = google_storage_bucket.dfpipe.name
  role     = "roles/storage.objectAdmin"
  member   = google_service_account.dfpipe[each.key].member
}

# The launcher starts jobs that run as the workers' account.
resource "google_service_account_iam_member" "service_as_worker" {
  service_account_id = google_service_account.dfpipe["worker"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.dfpipe["service"].member
}

resource "google_secret_manager_secret_iam_member" "service" {
  for_each  = toset(values(var.secrets))
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.dfpipe["service"].member
}
