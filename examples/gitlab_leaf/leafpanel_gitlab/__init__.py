"""A package that brings a GitLab leaf to Leafpanel."""
