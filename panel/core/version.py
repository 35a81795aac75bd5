"""The version of Leafpanel. The build reads it from here."""

VERSION = "0.2.0"
