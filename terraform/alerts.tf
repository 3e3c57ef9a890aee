# A mail when something needs a person, and when a month costs more than planned.

locals {
  alerts = var.mail == "" ? {} : {
    "dfpipe: a service or a job reports an error" = "severity>=ERROR AND (resource.type=\"cloud_run_revision\" OR resource.type=\"cloud_run_worker_pool\" OR resource.type=\"dataflow_step\")"
    "dfpipe: the clock gets no answer"            = "severity>=ERROR AND resource.type=\"cloud_scheduler_job\""
  }
}

resource "google_monitoring_notification_channel" "mail" {
  count        = var.mail == "" ? 0 : 1
  display_name = "dfpipe"
  type         = "email"
  labels       = { email_address = var.mail }
  depends_on   = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "log" {
  for_each              = local.alerts
  display_name          = each.key
  combiner              = "OR"
  notification_channels = google_monitoring_notification_channel.mail[*].id

  conditions {
    display_name = each.key
    condition_matched_log {
      filter = each.value
    }
  }

  alert_strategy {
    notification_rate_limit {
      period = "3600s"
    }
  }
}

resource "google_billing_budget" "month" {
  count           = var.billing_account == "" ? 0 : 1
  billing_account = var.billing_account
  display_name    = "dfpipe"

  budget_filter {
    projects = ["projects/${data.google_project.here.number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.budget)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  depends_on = [google_project_service.api]
}
