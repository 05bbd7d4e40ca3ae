"""What joins the stages: configuration, the run, the command line."""
