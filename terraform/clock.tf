# What calls the services: the clock of cron.yaml, and Dataflow's events.

locals {
  jobs = {
    launchpipeline = ["every 5 hours", "${local.address["launcher"]}/launchpipeline"]
    reap           = ["every 10 minutes", "${local.address["launcher"]}/reap"]
    sweep          = ["every 1 hours", "${local.address["launcher"]}/tasks/launcher/sweep"]
    reap-workflows = ["every 5 minutes", "${local.address["launcher"]}/_ah/pipeline/reap"]
    timeline       = ["every 17 minutes", "${local.address["collector"]}/timeline"]
    purge          = ["40 3 * * *", "${local.address["collector"]}/purge"]
  }
}

resource "google_cloud_scheduler_job" "dfpipe" {
  for_each  = local.jobs
  name      = each.key
  region    = var.region
  schedule  = each.value[0]
  time_zone = "Etc/UTC"

  http_target {
    http_method = "GET"
    uri         = each.value[1]

    oidc_token {
      service_account_email = local.caller
      audience              = local.address["launcher"]
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_eventarc_trigger" "dataflow" {
  name            = "dataflow"
  location        = var.region
  service_account = local.caller

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.dataflow.job.v1beta3.statusChanged"
  }

  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.dfpipe["launcher"].name
      region  = var.region
      path    = "/events/dataflow"
    }
  }

  depends_on = [google_project_iam_member.dfpipe]
}
