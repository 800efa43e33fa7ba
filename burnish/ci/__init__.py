"""Files that run burnish elsewhere: pipelines of GitHub and GitLab, a container, a service of systemd."""
