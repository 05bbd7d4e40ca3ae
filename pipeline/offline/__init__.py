"""Jobs over data sets: training and annotation."""
