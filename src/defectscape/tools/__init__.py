"""What people call about a study, beside the stages that the workflow calls."""
