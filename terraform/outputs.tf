output "repository" {
  description = "Where the images are pushed: worker and service."
  value       = local.repository
}

output "addresses" {
  description = "The addresses of the services."
  value       = { for name, service in google_cloud_run_v2_service.dfpipe : name => local.address[name] }
}
