"""The version of Leafpanel, once."""

VERSION = "0.1.0"
