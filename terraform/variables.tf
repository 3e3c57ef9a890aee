variable "project" {
  description = "The project, which exists already and has billing."
  type        = string
}

variable "region" {
  description = "Where services and jobs run, and where the posts are."
  type        = string
  default     = "europe-west1"
}

variable "location" {
  description = "Where BigQuery keeps the results: a region, EU or US."
  type        = string
  default     = "EU"
}

variable "max_workers" {
  description = "The most workers of a Dataflow job."
  type        = number
  default     = 10
}

variable "people" {
  description = "Who may see the pages, such as [\"user:anna@example.com\"]. Empty: no pages."
  type        = list(string)
  default     = []
}

variable "secrets" {
  description = "Files for the collector: the variable that names the file, and the secret that is its content."
  type        = map(string)
  default     = {}
}

variable "settings" {
  description = "More settings of the services, such as COLLECTOR_BLUESKY_HANDLE."
  type        = map(string)
  default     = {}
}

variable "mail" {
  description = "The e-mail address that gets alerts. Empty: no alerts."
  type        = string
  default     = ""
}

variable "billing_account" {
  description = "The billing account of the budget. Empty: no budget."
  type        = string
  default     = ""
}

variable "budget" {
  description = "What a month may cost, in the currency of the billing account."
  type        = number
  default     = 200
}
