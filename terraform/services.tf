# The services and worker pools on Cloud Run, all from one image.

locals {
  repository = "${var.region}-docker.pkg.dev/${var.project}/dfpipe"
  # The addresses are known before the services exist.
  address = {
    for name in ["launcher", "collector", "launcher-page"] :
    name => "https://${name}-${data.google_project.here.number}.${var.region}.run.app"
  }
  caller  = google_service_account.dfpipe["caller"].email
  service = google_service_account.dfpipe["service"].email

  settings = merge({
    DFPIPE_STORE                       = "datastore://${var.project}"
    DFPIPE_SINK                        = "bigquery://${var.project}/timeline?location=${var.location}"
    DFPIPE_TASK_AUDIENCE               = local.address["launcher"]
    DFPIPE_TASK_SERVICE_ACCOUNTS       = "${local.service} ${local.caller}"
    LAUNCHER_TARGET                    = "launcher"
    LAUNCHER_CHAINS                    = "chains-dataflow.yaml"
    LAUNCHER_URL                       = local.address["launcher-page"]
    LAUNCHER_DATAFLOW_PROJECT          = var.project
    LAUNCHER_DATAFLOW_REGION           = var.region
    LAUNCHER_DATAFLOW_SERVICE_ACCOUNT  = google_service_account.dfpipe["worker"].email
    LAUNCHER_DATAFLOW_TEMP_LOCATION    = "gs://${google_storage_bucket.dfpipe.name}/temp"
    LAUNCHER_DATAFLOW_STAGING_LOCATION = "gs://${google_storage_bucket.dfpipe.name}/staging"
    LAUNCHER_DATAFLOW_MAX_WORKERS      = tostring(var.max_workers)
  }, var.settings)

  files = { for name, secret in var.secrets : name => "/secrets/${secret}/value" }

  page_settings = {
    DFPIPE_PAGE_ACCESS  = "iap"
    DFPIPE_IAP_AUDIENCE = "/projects/${data.google_project.here.number}/locations/${var.region}/services/launcher-page"
  }

  # An empty command is the image's own: launcher serve.
  services = merge({
    launcher  = { command = [], args = [], least = 1, settings = {}, iap = false }
    collector = { command = ["collector"], args = ["serve", "--host=0.0.0.0", "--port=8080"], least = 0, settings = {}, iap = false }
    }, length(var.people) == 0 ? {} : {
    launcher-page = { command = [], args = [], least = 0, settings = local.page_settings, iap = true }
  })

  pools = {
    dispatcher = {
      command = ["taskqueue"]
      args = [
        "dispatch", "--queue-yaml=queue.yaml", "--target=${local.address["collector"]}",
        "--target=launcher=${local.address["launcher"]}",
      ]
    }
    worker = { command = ["collector"], args = ["ingest-worker"] }
  }
}

resource "google_cloud_run_v2_service" "dfpipe" {
  provider            = google-beta
  for_each            = local.services
  name                = each.key
  location            = var.region
  deletion_protection = false
  launch_stage        = each.value.iap ? "BETA" : "GA"
  iap_enabled         = each.value.iap
  # Cloud Run would check a token and remove its signature, which the service verifies itself.
  invoker_iam_disabled = !each.value.iap

  template {
    service_account = local.service
    timeout         = "600s"

    scaling {
      min_instance_count = each.value.least
      max_instance_count = 4
    }

    containers {
      image   = "${local.repository}/service"
      command = each.value.command
      args    = each.value.args

      resources {
        limits = { cpu = "1", memory = "1Gi" }
      }

      dynamic "env" {
        for_each = merge(local.settings, each.value.settings, each.key == "collector" ? local.files : {})
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "volume_mounts" {
        for_each = each.key == "collector" ? toset(values(var.secrets)) : toset([])
        content {
          name       = volume_mounts.key
          mount_path = "/secrets/${volume_mounts.key}"
        }
      }
    }

    dynamic "volumes" {
      for_each = each.key == "collector" ? toset(values(var.secrets)) : toset([])
      content {
        name = volumes.key
        secret {
          secret = volumes.key
          items {
            version = "latest"
            path    = "value"
          }
        }
      }
    }
  }

  depends_on = [google_project_iam_member.dfpipe, google_secret_manager_secret_iam_member.service]
}

# A worker pool takes no requests: it costs less than a service that is always on.
resource "google_cloud_run_v2_worker_pool" "dfpipe" {
  launch_stage        = "BETA"
  for_each            = local.pools
  name                = each.key
  location            = var.region
  deletion_protection = false

  scaling {
    manual_instance_count = 1
  }

  template {
    service_account = local.service

    containers {
      image   = "${local.repository}/service"
      command = each.value.command
      args    = each.value.args

      resources {
        limits = { cpu = "1", memory = "512Mi" }
      }

      dynamic "env" {
        for_each = local.settings
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  depends_on = [google_project_iam_member.dfpipe]
}

resource "google_iap_web_cloud_run_service_iam_member" "people" {
  for_each               = toset(var.people)
  project                = var.project
  location               = var.region
  cloud_run_service_name = google_cloud_run_v2_service.dfpipe["launcher-page"].name
  role                   = "roles/iap.httpsResourceAccessor"
  member                 = each.key
}

# The proxy calls the service with its own account.
resource "google_cloud_run_v2_service_iam_member" "proxy" {
  count    = length(var.people) == 0 ? 0 : 1
  location = var.region
  name     = google_cloud_run_v2_service.dfpipe["launcher-page"].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:service-${data.google_project.here.number}@gcp-sa-iap.iam.gserviceaccount.com"
}
